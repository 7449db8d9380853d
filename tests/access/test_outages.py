"""An authenticator that hangs, and what those who ask meanwhile are told."""

import asyncio

import pytest

from gateway.access import outages
from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.access.outages import Outages
from tests.support.eventually import eventually

ALICE = Password("alice", "secret")


class Directory:
    """Each request is answered when the test says so."""

    method = "directory"
    guessable = True

    def __init__(self) -> None:
        self.answers: list[asyncio.Future[Identity | None]] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def authenticate(self, credential: Credential) -> Identity | None:
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


async def test_an_answer_to_somebody_else_comes_while_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    directory, found = Directory(), Outages(lambda: now)
    first, second = (asyncio.ensure_future(found.ask(directory, ALICE)) for _ in range(2))
    await eventually(lambda: len(directory.answers) == 2)
    now = 5.0
    directory.answers[0].set_exception(AuthenticatorUnavailableError("it hangs"))
    with pytest.raises(AuthenticatorUnavailableError, match="it hangs"):
        await first
    monkeypatch.setattr(outages, "_HANGS_SECONDS", 0.05)
    third = asyncio.ensure_future(found.ask(directory, ALICE))
    await eventually(lambda: len(directory.answers) == 3)
    directory.answers[1].set_result(Identity("alice"))
    assert await second == Identity("alice")
    assert found.reasons == {}
    with pytest.raises(AuthenticatorUnavailableError, match="it hangs"):
        await third
    await found.close()
    assert directory.answers[2].cancelled(), "nobody waits for it any more"
