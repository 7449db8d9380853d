"""Who is asked while an authenticator fails, and what is told of it."""

import asyncio
import gc
import logging
from typing import Any

import pytest

from gateway.access import outages as outages_module
from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.access.outages import Outages
from tests.support.eventually import eventually

ALICE, CREDENTIAL = Identity("alice"), Password("alice", "right")


class Directory:
    """Takes `seconds` by the clock, and answers or fails then."""

    method, guessable = "directory", True

    def __init__(self) -> None:
        self.now, self.seconds = 1000.0, 0.0
        self.error: Exception | None = None
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def start(self) -> None: ...

    async def authenticate(self, credential: Credential) -> Identity | None:
        assert credential == CREDENTIAL
        self.asked += 1
        await self.open.wait()
        self.now += self.seconds
        if self.error is not None:
            raise self.error
        return ALICE

    async def close(self) -> None: ...


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def outages(directory: Directory) -> Outages:
    return Outages(lambda: directory.now)


async def failing(outages: Outages, directory: Directory, error: Exception, seconds: float = 0.0) -> str:
    """What is said after a failure that took so long."""
    directory.error, directory.seconds = error, seconds
    with pytest.raises(AuthenticatorUnavailableError) as failed:
        await outages.ask(directory, CREDENTIAL)
    return str(failed.value)


@pytest.mark.parametrize(("seconds", "asked"), [(0.9, 3), (1.0, 2), (5.0, 2)])
async def test_one_that_took_a_second_to_fail_is_asked_for_one_client_at_a_time(
    outages: Outages, directory: Directory, seconds: float, asked: int
) -> None:
    await failing(outages, directory, AuthenticatorUnavailableError("away"), seconds)
    directory.open.clear()
    waiting = asyncio.ensure_future(outages.ask(directory, CREDENTIAL))
    await eventually(lambda: directory.asked == 2)
    other = asyncio.ensure_future(outages.ask(directory, CREDENTIAL))
    await eventually(lambda: directory.asked == 3 or other.done())
    assert directory.asked == asked
    directory.error = None
    directory.open.set()
    assert await waiting == ALICE
    if asked == 3:
        assert await other == ALICE
    else:
        with pytest.raises(AuthenticatorUnavailableError, match=r"^away$"):
            await other
    assert outages.reasons == {}


async def test_one_that_hung_and_fails_at_once_now_is_asked_by_all_again(
    outages: Outages, directory: Directory
) -> None:
    await failing(outages, directory, AuthenticatorUnavailableError("hangs"), 5)
    assert await failing(outages, directory, AuthenticatorUnavailableError("refuses")) == "refuses"
    assert outages.reasons == {"directory": "refuses"}
    directory.error = None
    assert await outages.ask(directory, CREDENTIAL) == ALICE
    assert outages.reasons == {}


async def test_one_that_hangs_again_is_asked_again(outages: Outages, directory: Directory) -> None:
    for asked in (1, 2, 3):
        assert await failing(outages, directory, AuthenticatorUnavailableError("hangs"), 5) == "hangs"
        assert directory.asked == asked
    directory.error = None
    assert [await outages.ask(directory, CREDENTIAL) for _ in range(2)] == [ALICE, ALICE]


async def test_one_that_hung_for_some_credentials_is_asked_about_others(outages: Outages, directory: Directory) -> None:
    await failing(outages, directory, AuthenticatorUnavailableError("an issuer hangs", partly=True), 5)
    directory.open.clear()
    asking = [asyncio.ensure_future(outages.ask(directory, CREDENTIAL)) for _ in range(2)]
    await eventually(lambda: directory.asked == 3 or asking[1].done())
    directory.error = None
    directory.open.set()
    assert [await one for one in asking] == [ALICE, ALICE]


async def test_a_bug_is_an_outage(outages: Outages, directory: Directory, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        said = await failing(outages, directory, KeyError("s3cr3t"))
    assert said == "it failed: this is a bug" == outages.reasons["directory"]
    assert [record.getMessage() for record in caplog.records] == ["the authenticator directory failed: this is a bug"]


async def test_a_failure_for_which_nobody_waits_any_more_breaks_nothing(
    outages: Outages, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    await failing(outages, directory, AuthenticatorUnavailableError("hangs"), 5)
    monkeypatch.setattr(outages_module, "_HANGS_SECONDS", 0.01)
    directory.open.clear()
    assert await failing(outages, directory, AuthenticatorUnavailableError("hangs"), 0) == "hangs"
    directory.error = AuthenticatorUnavailableError("refuses")
    directory.open.set()
    await eventually(lambda: outages.reasons == {"directory": "refuses"})
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
