"""When an issuer is asked for its keys, and how long they are used."""

import asyncio
from typing import cast

import pytest

from gateway.access.authenticator import AuthenticatorUnavailableError
from gateway.access.oidc.issuer_keys import IssuerKeys
from gateway.access.oidc.keys import Keys
from gateway.errors import UpstreamError
from tests.support.eventually import eventually

MINUTE, HOUR = 60.0, 3600.0


class Scripted:
    """A clock, and an issuer whose keys are the ids in `ids`; None: it is down."""

    def __init__(self, ids: set[str] | None) -> None:
        self.now = 1000.0
        self.ids = ids
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.keys = IssuerKeys("https://issuer.example", self._fetch, lambda: self.now)

    async def _fetch(self) -> Keys:
        self.asked += 1
        await self.gate.wait()
        if self.ids is None:
            raise UpstreamError("it answers 500")
        return cast(Keys, self.ids)

    async def has(self, key_id: str) -> bool:
        return key_id in await self.keys.having(key_id)

    async def fails(self, key_id: str) -> None:
        with pytest.raises(AuthenticatorUnavailableError, match=r"issuer\.example.* it answers 500") as unavailable:
            await self.keys.having(key_id)
        assert unavailable.value.partly, "other issuers may answer"


async def test_keys_are_used_for_a_quarter_of_an_hour() -> None:
    issuer = Scripted({"one"})
    assert await issuer.has("one")
    issuer.ids = {"two"}
    issuer.now += 15 * MINUTE - 1
    assert await issuer.has("one")
    assert issuer.asked == 1
    issuer.now += 1
    assert not await issuer.has("one")
    assert issuer.asked == 2


async def test_an_unknown_id_asks_at_most_once_a_minute() -> None:
    issuer = Scripted({"one"})
    assert not await issuer.has("two")
    issuer.now += MINUTE - 1
    assert not await issuer.has("two")
    assert issuer.asked == 1
    issuer.now += 1
    for name in ("two", "three", "four", "two"):
        assert not await issuer.has(name)
    assert issuer.asked == 2
    issuer.ids = {"one", "two"}
    issuer.now += MINUTE
    assert await issuer.has("two")
    assert issuer.asked == 3


async def test_keys_are_old_from_when_they_were_asked_for() -> None:
    issuer = Scripted({"one"})
    issuer.gate.clear()
    waiting = asyncio.create_task(issuer.has("one"))
    await eventually(lambda: issuer.asked == 1)
    issuer.now += 10 * MINUTE
    issuer.gate.set()
    assert await waiting
    issuer.now += 5 * MINUTE
    assert await issuer.has("one")
    assert issuer.asked == 2


@pytest.mark.parametrize("known", [set(), {"one"}], ids=["the first time", "for a new key"])
async def test_callers_share_a_request(known: set[str]) -> None:
    issuer = Scripted(known)
    if known:
        assert await issuer.has("one")
        issuer.now += MINUTE
    before = issuer.asked
    issuer.ids = {"one", "two"}
    issuer.gate.clear()
    waiting = [asyncio.create_task(issuer.has("two")) for _ in range(10)]
    await eventually(lambda: issuer.asked == before + 1)
    waiting += [asyncio.create_task(issuer.has("two")) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    issuer.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [True] * 19
    assert issuer.asked == before + 1


async def test_old_keys_are_used_while_the_issuer_is_down(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Scripted({"one"})
    assert await issuer.has("one")
    issuer.ids = None
    issuer.now += 15 * MINUTE
    for _ in range(3):
        assert await issuer.has("one")
    assert issuer.asked == 2
    assert caplog.messages == ["using keys of https://issuer.example that are 900 s old: it answers 500"]
    issuer.now += MINUTE - 1
    assert await issuer.has("one")
    assert issuer.asked == 2
    issuer.now += 1
    assert await issuer.has("one")
    assert issuer.asked == 3
    issuer.now += 4 * HOUR - 16 * MINUTE - 1
    assert await issuer.has("one")
    issuer.now += 1
    await issuer.fails("one")


async def test_while_it_is_down_nobody_knows_of_a_new_key() -> None:
    issuer = Scripted({"one"})
    assert await issuer.has("one")
    issuer.ids = None
    issuer.now += MINUTE
    await issuer.fails("two")
    assert await issuer.has("one")
    issuer.now += MINUTE - 1
    await issuer.fails("two")
    assert issuer.asked == 2
    issuer.ids = {"one"}
    issuer.now += 1
    assert not await issuer.has("two")


async def test_without_keys_it_is_asked_again_after_five_seconds() -> None:
    issuer = Scripted(None)
    for _ in range(3):
        await issuer.fails("one")
    issuer.now += 4.9
    await issuer.fails("one")
    assert issuer.asked == 1
    issuer.now += 0.1
    issuer.ids = {"one"}
    assert await issuer.has("one")


async def test_callers_wait_for_an_answer_that_is_under_way_after_a_failure() -> None:
    issuer = Scripted(None)
    await issuer.fails("one")
    issuer.now += 5
    issuer.ids = {"one"}
    issuer.gate.clear()
    waiting = [asyncio.create_task(issuer.has("one"))]
    await eventually(lambda: issuer.asked == 2)
    waiting += [asyncio.create_task(issuer.has("one")) for _ in range(2)]
    await asyncio.sleep(0)
    issuer.gate.set()
    assert await asyncio.gather(*waiting) == [True] * 3


async def test_closing_ends_the_request() -> None:
    issuer = Scripted({"one"})
    issuer.gate.clear()
    waiting = asyncio.create_task(issuer.has("one"))
    await eventually(lambda: issuer.asked == 1)
    await issuer.keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
