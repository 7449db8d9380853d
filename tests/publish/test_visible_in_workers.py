"""A worker that has published a file knows of it before it answers, though all workers learn of it in the same way."""

from pathlib import Path

from gateway.app import Gateway
from gateway.config.load import load
from gateway.ops.mark import Marks
from tests.publish.test_uploads import CONTENT, FILE, KEY, OPEN, get
from tests.support.faults import FaultyBucket
from tests.support.uploads import upload


async def test_what_was_published_is_known_with_the_answer(
    faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    given = faulty_settings | OPEN | {"server.port": "0", "log.access": "false", "index.layout": "project"}
    gateway = Gateway(load(given, environ={}, cwd=tmp_path), Marks())
    await gateway.start()
    try:
        faulty.objects["acme-web/acme_web-0.9-py3-none-any.whl"] = CONTENT
        assert (await get(f"{gateway.url}/simple/acme-web/"))[0] == 200
        assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
        assert KEY in gateway.mount.metadata.of("acme-web").entries
    finally:
        await gateway.stop()
