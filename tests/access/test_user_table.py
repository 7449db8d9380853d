"""Who is known, and how long it takes to find that somebody is not."""

import pytest

from gateway.access.authenticator import BearerToken, Credential, Identity, Password
from gateway.access.hashing.passwords import PasswordHash, parse
from gateway.access.user_table import UserTable
from tests.access.hashing.test_passwords import HASHES

TABLE = UserTable({"bob": parse(HASHES["$2b$"]), "zoë": parse(HASHES["{SHA}"])})


async def test_only_who_gives_the_password_is_known() -> None:
    for name in ("bob", "zoë"):
        assert await TABLE.identify(Password(name, "pässword")) == Identity(name)
    wrong: list[Credential] = [
        Password("bob", "x"),
        Password("Bob", "pässword"),
        Password("", "pässword"),
        Password("bob", ""),
        Password("bob", "p\ud800"),
        Password("b\ud800", "pässword"),
        BearerToken("pässword"),
    ]
    for credential in wrong:
        assert await TABLE.identify(credential) is None
    assert await UserTable({}).identify(Password("bob", "pässword")) is None


@pytest.mark.parametrize("name", ["bob", "eve"])
async def test_every_wrong_password_costs_one_hash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def verify(self: PasswordHash, password: bytes) -> bool:
        seen.append(self.text)
        return name == "eve"  # who is not there, so that it is the password of another

    monkeypatch.setattr(PasswordHash, "verify", verify)
    for _ in range(3):
        assert await TABLE.identify(Password(name, "x")) is None
    assert len(seen) == 3
    assert len(set(seen)) == 1
