"""Whoever floods the gateway with passwords delays nobody who has logged in."""

import asyncio
import threading
from base64 import b64encode
from hashlib import sha1
from typing import cast

import pytest

from gateway.access.authenticator import AuthenticatorUnavailableError
from gateway.access.hashing.password_checks import PasswordChecks
from gateway.access.hashing.passwords import PasswordHash
from gateway.executors import Executor
from tests.support.eventually import eventually


def sha(password: str) -> str:
    return "{SHA}" + b64encode(sha1(password.encode(), usedforsecurity=False).digest()).decode()


class Held(PasswordHash):
    """Takes until the event is set, or the seconds have passed."""

    verified = 0
    hold = threading.Event()

    def verify(self, password: bytes) -> bool:
        type(self).verified += 1
        assert self.hold.wait(20)
        return super().verify(password)


@pytest.fixture
def held() -> type[Held]:
    class Own(Held):
        hold = threading.Event()

    return Own


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_password_that_fits_is_verified_once(held: type[Held]) -> None:
    clock, held.verified = Clock(), 0
    checks, known = PasswordChecks(Executor("test", 1), clock), held("SHA", sha("right"))
    held.hold.set()
    for _ in range(3):
        assert await checks.fits(known, b"right")
        clock.now += 3599
    assert held.verified == 1
    clock.now += 1
    assert await checks.fits(known, b"right")
    assert held.verified == 2


async def test_another_hash_or_a_wrong_password_is_verified_each_time(held: type[Held]) -> None:
    checks, known, other = PasswordChecks(Executor("test", 1)), held("SHA", sha("right")), held("SHA", sha("new"))
    held.hold.set()
    assert await checks.fits(known, b"right")
    assert not await checks.fits(other, b"right")
    assert not await checks.fits(known, b"wrong")
    assert not await checks.fits(known, b"wrong")
    assert held.verified == 4


async def test_somebody_else_s_password_takes_as_long_as_a_wrong_one(held: type[Held]) -> None:
    checks, known = PasswordChecks(Executor("test", 1)), held("SHA", sha("right"))
    held.hold.set()
    assert await checks.fits(known, b"right")
    await checks.pretend(known, b"right")
    assert held.verified == 2


async def test_who_has_logged_in_waits_for_no_flood_and_nobody_waits_for_long(held: type[Held]) -> None:
    checks = PasswordChecks(Executor("test", 1))
    alice, known = PasswordHash("SHA", sha("alice")), held("SHA", sha("right"))
    assert await checks.fits(alice, b"alice")
    flood = [asyncio.ensure_future(checks.fits(known, f"{number}".encode())) for number in range(100)]
    refused, _ = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    if not refused:
        held.hold.set()
    assert refused
    assert await checks.fits(alice, b"alice")
    with pytest.raises(AuthenticatorUnavailableError, match=r"^too many passwords wait to be verified$"):
        await checks.fits(alice, b"another")
    held.hold.set()
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert 10 < sum(outcome is False for outcome in outcomes) < 40
    assert not await checks.fits(alice, b"another")


class Slow:
    """Stands for an Executor of two threads, on which each password takes `seconds`."""

    threads = 2

    def __init__(self) -> None:
        self.seconds = 0.25
        self.open = asyncio.Event()

    async def run(self, *_: object) -> tuple[bool, float]:
        await self.open.wait()
        return False, self.seconds


@pytest.mark.parametrize(("seconds", "taken"), [(0.25, 41), (1.0, 26), (0.0, 51)])
async def test_as_many_wait_as_are_verified_in_five_seconds(seconds: float, taken: int) -> None:
    """The first is thought to take a quarter of a second, and each counts for a fifth of what is thought then."""
    slow = Slow()
    checks, known = PasswordChecks(cast(Executor, slow)), PasswordHash("SHA", sha("right"))
    slow.seconds = seconds
    slow.open.set()
    assert not await checks.fits(known, b"first")
    slow.seconds = 0.25 + (seconds - 0.25) / 5
    for _ in range(2):
        slow.open.clear()
        flood = [asyncio.ensure_future(checks.fits(known, f"{number}".encode())) for number in range(100)]
        await eventually(lambda flood=flood: sum(one.done() for one in flood) == 100 - taken)  # type: ignore[misc]
        slow.open.set()
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
        assert outcomes.count(False) == taken
