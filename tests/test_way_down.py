"""docs/pages/architecture.md lists the files that a request passes on its way down: the list is true."""

import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import FrameType

import pytest

import gateway
from gateway.server import response
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import fetch

HOME = Path(gateway.__file__).parent
MANUAL = HOME.parent / "docs" / "pages" / "architecture.md"
WHEEL, OTHER, PAGE = "/arrow/arrow-1.0-py3-none-any.whl", "/arrow/arrow-2.0-py3-none-any.whl", "/arrow/"


class Trace:
    """The files whose coroutines run from the start of a request until its answer is sent, in order."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self._over = False

    def __enter__(self) -> "Trace":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        self._over = self._over or code is response.send.__code__
        path = Path(code.co_filename)
        if event == "call" and code.co_flags & inspect.CO_COROUTINE and path.is_relative_to(HOME) and not self._over:
            name = path.relative_to(HOME).as_posix()
            if name not in self.files:
                self.files.append(name)


def documented(title: str) -> list[str]:
    [row] = re.findall(rf"^\| {title} \| (.*) \|$", MANUAL.read_text(), re.MULTILINE)
    return re.findall(r"`([^`]+)`", row)


@pytest.mark.parametrize(
    ("title", "most", "settings", "before", "path"),
    [
        ("A wheel that is not cached", 10, {"cache.memory_bytes": "16MB"}, OTHER, WHEEL),
        ("A page", 8, {}, PAGE, PAGE),
        ("A redirect", 6, {"storage.redirect_urls": "true", "storage.redirect_check": "false"}, OTHER, WHEEL),
        ("A wheel on disk", 6, {"cache.dir": "cache"}, WHEEL, WHEEL),
        ("A file of a site on disk", 6, {"cache.dir": "cache", "index.mode": "site"}, WHEEL, WHEEL),
    ],
    ids=["wheel", "page", "redirect", "disk", "site"],
)
async def test_a_request_passes_the_files_that_the_manual_lists(
    title: str,
    most: int,
    settings: dict[str, str],
    before: str,
    path: str,
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    tmp_path: Path,
) -> None:
    """`before` is asked for until nothing is left to be found out in the background."""
    for wheel in (WHEEL, OTHER):
        faulty.objects[wheel[1:]] = b"x" * 3_000_000
    if "cache.dir" in settings:
        settings = settings | {"cache.dir": str(tmp_path / "cache")}
    gateway = await start_gateway(faulty_settings | settings)
    port = int(gateway.url.rpartition(":")[2])
    first = await fetch(port, before)
    async with asyncio.timeout(20):
        while before == PAGE and first.body.count(b"sha256=") < 2:
            first = await fetch(port, before)
    if before == path:
        await fetch(port, before)  # which keeps what was made of it
    await eventually(lambda: gateway.storage.stats().get("fills", 0) == 0)
    with Trace() as trace:
        reply = await fetch(port, path)
    assert reply.status in (200, 302)
    assert trace.files == documented(title)
    assert len(trace.files) <= most
