"""Credentials follow AWS's shared configuration: when a file changes, and when the storage refuses them."""

import asyncio
from pathlib import Path

import pytest

from gateway.errors import CredentialsError
from gateway.storage.s3.signing import credentials as module
from gateway.storage.s3.signing.credentials import CredentialSource
from tests.conftest import StartGateway
from tests.storage.s3.signing.test_credentials import Clock, Provider, credentials
from tests.support.faults import FaultyBucket
from tests.support.http import fetch


def keys(file: Path, number: int) -> None:
    new = file.with_suffix(".new")
    new.write_text(f"[default]\naws_access_key_id = AKID{number}\naws_secret_access_key = secret-{number}\n")
    new.replace(file)


async def test_a_changed_file_is_read_again_and_looked_at_now_and_then(tmp_path: Path) -> None:
    file, clock = tmp_path / "credentials", Clock()
    provider = Provider(credentials(1), credentials(2), CredentialsError("half of it is written"), credentials(3))
    source = CredentialSource(provider, files=[file, tmp_path / "absent"], clock=clock)
    assert await source.get() == credentials(1)

    async def look() -> None:
        source.usable()
        assert source._looking is not None
        await source._looking

    await look()
    keys(file, 2)
    await look()
    assert (source.usable(), provider.loads) == (credentials(1), 1), "not before it is time"
    clock.now += module._LOOK_SECONDS
    await look()
    assert (source.usable(), provider.loads) == (credentials(2), 2)
    file.write_text("[default]\n")
    clock.now += module._LOOK_SECONDS
    await look()
    assert (source.usable(), provider.loads) == (credentials(2), 3), "what was loaded before stays in use"
    keys(file, 3)
    clock.now += module._LOOK_SECONDS
    await look()
    assert source.usable() == credentials(3)
    for _ in range(3):
        clock.now += module._LOOK_SECONDS
        await look()
    assert provider.loads == 4, "nothing has changed since"
    source.users = 1
    await source.close()


async def test_a_look_ends_with_the_last_storage(tmp_path: Path) -> None:
    source = CredentialSource(Provider(credentials(1)), files=[tmp_path / "credentials"], clock=Clock())
    source.users = 1
    await source.get()
    source.usable()
    await source.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.parametrize("refused", [True, False])
async def test_a_gateway_signs_with_what_the_file_has_by_now(
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    start_gateway: StartGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: bool,
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setattr(module, "_LOOK_SECONDS", 3600 if refused else 0)
    keys(file, 1)
    faulty.objects["a.txt"] = b"content"
    settings = {name: value for name, value in faulty_settings.items() if "aws_" not in name}
    port = int((await start_gateway(settings)).url.rpartition(":")[2])

    async def signed_by() -> str:
        assert (await fetch(port, "/a.txt")).status == 200
        return faulty.requests[-1].headers["authorization"].partition("Credential=")[2].partition("/")[0]

    assert await signed_by() == "AKID1"
    keys(file, 2)
    if refused:
        faulty.accept("AKID2", "secret-2")
        assert await signed_by() == "AKID2", "the request that was refused is sent again"
    else:
        async with asyncio.timeout(20):
            while await signed_by() != "AKID2":
                pass
