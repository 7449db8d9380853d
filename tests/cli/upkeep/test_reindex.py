"""`gateway reindex`, of a directory and of a bucket in front of which a gateway runs."""

import hashlib
import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.upkeep.reindex import Wish, run
from gateway.config.load import load
from gateway.index.wheels.known_metadata import Entry, from_document, to_document, version_of
from gateway.publish.beacon.ring import decode
from gateway.storage.base import ObjectMetadata, StoredObject
from tests.support.faults import Answer, FaultyBucket, error, etag_of, healthy
from tests.support.wheels import sdist, wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

Captured = pytest.CaptureFixture[str]
FILE, CONTENT = wheel("acme_web", "1.0", summary="a\nRequires-Python: >=3.9")
KEY, SDIST = f"acme-web/{FILE}", "acme-web/acme_web-1.0.tar.gz"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DOCUMENT = ".gateway/metadata/acme-web.json"
SHARED = {"index.share_metadata": "true", "publish.beacon": "true"}


async def run_on(settings: dict[str, str], tmp_path: Path, *projects: str) -> tuple[int, list[dict[str, object]]]:
    said: list[str] = []
    loaded = load(settings | {"storage.max_attempts": "1"}, environ={}, cwd=tmp_path)
    code = await run(loaded, Wish(frozenset(projects), as_json=True), said.append)
    return code, [json.loads(line) for line in said]


@pytest.fixture
def stocked(faulty: FaultyBucket) -> FaultyBucket:
    faulty.objects = {KEY: CONTENT, SDIST: sdist("acme_web", "1.0")[1], f"{SDIST}.yanked": b"breaks"}
    faulty.objects["other/other-1.0.tar.gz"] = b"other"
    return faulty


async def test_what_gateways_share_is_found_out_anew(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    version = version_of(StoredObject(KEY, len(CONTENT), etag_of(CONTENT), 1_700_000_000))
    stocked.objects[DOCUMENT] = to_document({KEY: Entry(version, ObjectMetadata("ab" * 32))})
    code, told = await run_on(faulty_settings | SHARED, tmp_path, "acme-web")
    assert (code, told) == (0, [{"project": "acme-web", "files": 3, "changed": True, "failures": {}}])
    entries = from_document(stocked.objects[DOCUMENT])
    assert entries[KEY] == Entry(version, ObjectMetadata(SHA256, ">=3.9"))
    assert entries[f"{SDIST}.yanked"].metadata.yanked == "breaks"
    assert entries.keys() == {KEY, SDIST, f"{SDIST}.yanked"}
    assert [change.project for change in decode(stocked.objects[".gateway/epoch"]).changes] == ["acme-web"]
    assert "Gateways see it now" in capsys.readouterr().err
    assert (await run_on(faulty_settings | SHARED, tmp_path, "acme-web"))[1][0]["changed"] is False


async def test_without_a_project_all_are_gone_through(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.objects["lost+found/x"] = b"x"
    code, told = await run_on(faulty_settings | SHARED, tmp_path)
    assert (code, [line["project"] for line in told if line["files"]]) == (0, ["acme-web", "other"])
    told_of = {change.project for change in decode(stocked.objects[".gateway/epoch"]).changes}
    assert told_of == {"acme-web", "other"}


async def test_where_nothing_is_shared_gateways_are_told(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    before = dict(stocked.objects)
    assert await run_on(faulty_settings, tmp_path) == (0, [])
    assert stocked.objects == before
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "Nothing is stored of files, because index.share_metadata is off.",
        "Gateways see it within index.refresh, or at once after POST /-/refresh",
    ]


async def test_a_file_that_can_t_be_looked_at_is_said_and_left_out(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.of_key[KEY] = error(403, "InvalidObjectState")
    code, [told] = await run_on(faulty_settings | SHARED, tmp_path, "acme-web")
    assert (code, told["files"]) == (1, 2)
    assert "InvalidObjectState" in str(told["failures"])
    assert KEY not in from_document(stocked.objects[DOCUMENT])


async def test_what_can_t_be_stored_is_a_failure(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    async def refused(answer: Answer) -> None:
        await (error(403, "AccessDenied") if answer.request.method == "PUT" else healthy)(answer)

    stocked.of_key[DOCUMENT] = refused
    assert (await run_on(faulty_settings | SHARED, tmp_path, "acme-web"))[0] == 1
    assert "writing is not permitted" in capsys.readouterr().err

    async def busy(answer: Answer) -> None:
        await (error(412, "PreconditionFailed") if answer.request.method == "PUT" else healthy)(answer)

    stocked.of_key[DOCUMENT] = busy
    assert (await run_on(faulty_settings | SHARED, tmp_path, "acme-web"))[0] == 1
    assert "all the time" in capsys.readouterr().err
    assert len([request for request in stocked.requests if request.key == DOCUMENT and request.method == "PUT"]) == 4


async def test_a_project_that_fails_keeps_no_other_from_being_stored_nor_gateways_from_being_told(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    stocked.of_key[DOCUMENT] = error(403, "AccessDenied")
    code, told = await run_on(faulty_settings | SHARED, tmp_path)
    assert (code, [line["project"] for line in told]) == (1, ["other"])
    assert "gateway reindex: acme-web: " in capsys.readouterr().err
    assert ".gateway/metadata/other.json" in stocked.objects
    told_of = {change.project for change in decode(stocked.objects[".gateway/epoch"]).changes}
    assert told_of == {"acme-web", "other"}


async def test_it_gives_up_when_nothing_can_be_stored(
    faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    for number in range(40):
        faulty.objects[f"p{number}/p{number}-1.0.tar.gz"] = b"x"
        faulty.of_key[f".gateway/metadata/p{number}.json"] = error(403, "AccessDenied")
    assert await run_on(faulty_settings | SHARED, tmp_path) == (1, [])
    assert "gave up after 20 projects" in capsys.readouterr().err


def test_of_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "packages" / "acme-web"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(CONTENT)
    shared = "--set", "index.share_metadata=true", "--dir", "packages"
    assert main(["reindex", *shared]) == 0
    assert capsys.readouterr().out == "acme-web: stored anew, files: 1\n"
    assert SHA256.encode() in (tmp_path / "packages" / DOCUMENT).read_bytes()
    assert main(["reindex", "none", *shared]) == 1
    assert "no release of a project 'none'" in capsys.readouterr().err
