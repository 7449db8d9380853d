"""A revoked token stays revoked, whichever mounts the configuration has by and by."""

import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.access import file_watch
from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.revocations import KEY
from gateway.access.tokens.token import Claims, issue
from gateway.mounting import revoked_tokens
from gateway.principal import Right, Scope
from tests.running.test_change import bucket
from tests.support.faults import FaultyBucket, on, stall_in_body
from tests.support.reloadable import Reloadable

SECRET, OTHER = "k" * 40, "o" * 40
ACCESS = {"tokens": {"keys": [SECRET]}}


def header(identity: str, secret: str = SECRET) -> dict[str, str]:
    claims = Claims("alice", identity, Scope(frozenset({Right.READ})), 4_000_000_000)
    return {"Authorization": f"Bearer {issue(claims, parse_key(secret))}"}


def mount(tmp_path: Path, name: str, **more: Any) -> dict[str, Any]:
    (tmp_path / name / "acme").mkdir(parents=True, exist_ok=True)
    (tmp_path / name / "acme" / "acme-1.0.tar.gz").touch()
    return {"name": name, "path": f"/{name}", "storage": {"dir": str(tmp_path / name)}} | more


def revoke(tmp_path: Path, name: str, *identities: str) -> None:
    file = tmp_path / name / KEY
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(identities))


async def codes(one: Reloadable, identity: str, *names: str, secret: str = SECRET) -> list[int]:
    return [(await one.get(f"/{name}/acme/", **header(identity, secret)))[0] for name in names]


async def becomes(one: Reloadable, identity: str, name: str, code: int) -> None:
    until = time.monotonic() + 20
    while await codes(one, identity, name) != [code]:
        assert time.monotonic() < until


async def test_the_lists_of_all_mounts_with_a_common_key_count(reloadable: Reloadable, tmp_path: Path) -> None:
    own = {"access": {"default_write": ["user:x"]}}
    stranger = {"access": {"tokens": {"keys": [OTHER]}}}
    mounts = [mount(tmp_path, "a"), mount(tmp_path, "b"), mount(tmp_path, "c", **own), mount(tmp_path, "d", **stranger)]
    revoke(tmp_path, "b", "t1")
    reloadable.write(access=ACCESS, mounts=mounts)
    await reloadable.start()
    assert await codes(reloadable, "t1", "a", "b", "c") == [401] * 3
    assert await codes(reloadable, "t2", "a", "b", "c") == [200] * 3
    assert await codes(reloadable, "t1", "d", secret=OTHER) == [200], "it is another one"


async def test_a_mount_that_comes_before_the_others_makes_no_token_good_again(
    reloadable: Reloadable, tmp_path: Path
) -> None:
    first, new = mount(tmp_path, "a"), mount(tmp_path, "new")
    revoke(tmp_path, "a", "t1")
    reloadable.write(access=ACCESS, mounts=[first])
    await reloadable.start()
    assert await codes(reloadable, "t1", "a") == [401]
    reloadable.write(access=ACCESS, mounts=[new, first])
    assert (await reloadable.reload())[0] == 200
    assert await codes(reloadable, "t1", "new", "a") == [401, 401]
    assert await codes(reloadable, "t2", "new", "a") == [200, 200]
    revoke(tmp_path, "a")
    assert (await reloadable.reload())[0] == 200
    assert await codes(reloadable, "t1", "new", "a") == [200, 200], "the line has been removed"


async def test_a_list_that_can_t_be_read_takes_nothing_back(
    reloadable: Reloadable,
    faulty: FaultyBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(revoked_tokens, "_LIST_SECONDS", 0.1)
    faulty.objects[KEY] = b"t1\n"
    mounts = [mount(tmp_path, "a"), {"name": "b", "path": "/b", "storage": bucket(faulty)}]
    reloadable.write(access=ACCESS, mounts=mounts)
    await reloadable.start()
    assert await codes(reloadable, "t1", "a") == [401]
    faulty.of_key[KEY] = on("GET", stall_in_body(1, length=3))
    with caplog.at_level(logging.WARNING, "gateway.access"):
        assert (await reloadable.reload())[0] == 200
    assert "of mount b can't be read: no answer within 0.1 s" in caplog.text
    assert await codes(reloadable, "t1", "a") == [401]


async def test_a_mount_that_gets_another_s_key_in_place_heeds_its_list(reloadable: Reloadable, tmp_path: Path) -> None:
    """Its access control goes on, with another section."""
    revoke(tmp_path, "a", "t1")
    other = {"tokens": {"keys": [OTHER]}}
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b", access=other)])
    await reloadable.start()
    assert await codes(reloadable, "t1", "a", "b") == [401, 401]
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b", access=ACCESS)])
    assert (await reloadable.reload())[0] == 200
    assert await codes(reloadable, "t2", "a", "b") == [200, 200]
    assert await codes(reloadable, "t1", "a", "b") == [401, 401]


async def test_the_file_s_section_access_gets_another_s_key_without_a_reload(
    reloadable: Reloadable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoked_tokens, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(file_watch, "_SECONDS", 0.02)
    revoke(tmp_path, "a", "t1")
    other = {"tokens": {"keys": [OTHER]}}
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b", access=other)])
    await reloadable.start()
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b", access=ACCESS)])
    await becomes(reloadable, "t2", "b", 200)
    await becomes(reloadable, "t1", "b", 401)


async def test_a_list_that_could_not_be_read_at_the_start_is_read_later(
    reloadable: Reloadable, faulty: FaultyBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoked_tokens, "_LIST_SECONDS", 0.1)
    monkeypatch.setattr(revoked_tokens, "_PAUSE_SECONDS", 0.01)
    faulty.objects[KEY] = b"t1\n"
    faulty.of_key[KEY] = on("GET", stall_in_body(1, length=3))
    mounts = [mount(tmp_path, "a"), {"name": "b", "path": "/b", "storage": bucket(faulty)}]
    reloadable.write(access=ACCESS, mounts=mounts)
    await reloadable.start()
    assert await codes(reloadable, "t1", "a") == [200]
    del faulty.of_key[KEY]
    await becomes(reloadable, "t1", "a", 401)


async def test_a_public_key_is_that_of_its_private_key(reloadable: Reloadable, tmp_path: Path) -> None:
    pair = Ed25519PrivateKey.generate()
    private = pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    mounts = [mount(tmp_path, "a"), mount(tmp_path, "b", access={"tokens": {"keys": [public]}})]
    revoke(tmp_path, "a", "t1")
    reloadable.write(access={"tokens": {"keys": [private]}}, mounts=mounts)
    await reloadable.start()
    assert await codes(reloadable, "t2", "a", "b", secret=private) == [200, 200]
    assert await codes(reloadable, "t1", "a", "b", secret=private) == [401, 401]


@pytest.mark.parametrize("changed", [{}, {"index": {"browse": False}}])
async def test_a_list_that_is_gone_counts_until_a_restart(
    reloadable: Reloadable, tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: dict[str, Any]
) -> None:
    """A volume that is not mounted and a list that somebody has deleted look the same."""
    revoke(tmp_path, "b", "t1")
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b")])
    await reloadable.start()
    assert await codes(reloadable, "t1", "a") == [401]
    (tmp_path / "b" / KEY).unlink()
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b", **changed)])
    with caplog.at_level(logging.WARNING, "gateway.access"):
        assert (await reloadable.reload())[0] == 200
    assert await codes(reloadable, "t1", "a") == [401]
    assert "the list of revoked tokens of mount b is gone: the last one counts until a restart" in caplog.text


async def test_a_list_that_may_not_be_read_takes_nothing_back(
    reloadable: Reloadable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it count for an empty one at the start."""
    monkeypatch.setattr(revoked_tokens, "_PAUSE_SECONDS", 0.01)
    revoke(tmp_path, "b", "t1")
    reloadable.write(access=ACCESS, mounts=[mount(tmp_path, "a"), mount(tmp_path, "b")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refusing(os.open, tmp_path / "b" / KEY))
        await reloadable.start()
        assert await codes(reloadable, "t1", "a") == [200]
    await becomes(reloadable, "t1", "a", 401)


def refusing(opens: Callable[..., int], file: Path) -> Callable[..., int]:
    """Opens all other files."""

    def refuse(path: Any, *args: Any, **named: Any) -> int:
        descriptor = named.get("dir_fd")
        below = descriptor is not None and os.path.samestat(os.fstat(descriptor), file.parent.stat())
        if below and path == file.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(path, *args, **named)

    return refuse
