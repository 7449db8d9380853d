"""The memory for uploads, which several mounts share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.publish import uploads
from tests.conftest import StartGateway
from tests.mounts.test_mounts import TWO, configure
from tests.support.eventually import eventually
from tests.support.uploads import BOUNDARY, fields, form, upload, wheel

FILE, CONTENT = wheel("acme_web", "1.0")
LENGTH, COUNT = 7 * 1024 * 1024, 20
HEAD = f"POST /team-b/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"


@asynccontextmanager
async def begun(url: str, sent: bytes) -> AsyncIterator[None]:
    """Uploads at the mount team-b that do not go on."""
    at, writers = urlsplit(url), []
    for _ in range(COUNT):
        _, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.write(f"{HEAD}Content-Length: {LENGTH}\r\n\r\n".encode() + sent)
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("fields_only", [False, True], ids=["files", "fields"])
async def test_slow_uploads_at_one_mount_hold_up_none_at_another(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields_only: bool
) -> None:
    monkeypatch.setattr(uploads, "_WAIT_SECONDS", 1.0)
    configure(tmp_path, TWO)
    (tmp_path / "main").mkdir()
    (tmp_path / "b").mkdir()
    gateway = await start_gateway({"publish.enabled": "true", "publish.allow_anonymous": "true"})
    mount = next(mount for mount in gateway.mounts.all if mount.name == "team-b")
    assert mount.uploads is not None
    waiting = mount.uploads._fields_memory._large_waiting if fields_only else mount.uploads._memory._small_waiting
    whole = form(FILE, CONTENT, fields(FILE, CONTENT))
    sent = b"" if fields_only else whole[: whole.index(CONTENT) + 10]
    async with begun(gateway.url, sent):
        await eventually(waiting.locked)
        assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
