"""`gateway verify`, of a directory and of a bucket."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.upkeep.verify import Wish, run
from gateway.config.load import load
from gateway.index.wheels.known_metadata import Entry, to_document, version_of
from gateway.publish.upkeep.finding import GC_ADVICE
from gateway.storage.base import ObjectMetadata, StoredObject
from gateway.storage.local.tree import TEMPORARY
from tests.support.faults import Answer, Behaviour, FaultyBucket, error, etag_of, healthy, on, on_first, serving
from tests.support.wheels import sdist, wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

FILE, CONTENT = wheel("acme_web", "1.0")
SDIST, SOURCE = sdist("acme_web", "1.0")
KEY = f"acme-web/{FILE}"
SHA256, OTHER = hashlib.sha256(CONTENT).hexdigest(), "ab" * 32
Captured = pytest.CaptureFixture[str]
UPLOADS = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{}</ListMultipartUploadsResult>"
UPLOAD = "<Upload><Key>acme-web/x.whl</Key><UploadId>1</UploadId><Initiated>{}</Initiated></Upload>"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "packages" / "acme-web"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(CONTENT)
    (folder / SDIST).write_bytes(SOURCE)
    return folder


def verify(*arguments: str) -> int:
    return main(["verify", *arguments, "--dir", "packages"])


def lines(capsys: Captured) -> list[str]:
    return capsys.readouterr().out.splitlines()


def metadata() -> bytes:
    from io import BytesIO
    from zipfile import ZipFile

    return ZipFile(BytesIO(CONTENT)).read("acme_web-1.0.dist-info/METADATA")


def test_all_is_well(folder: Path, capsys: Captured) -> None:
    (folder / f"{FILE}.metadata").write_bytes(metadata())
    (folder / f"{FILE}.sha256").write_text(f"{SHA256}  {FILE}\n")
    (folder / "index.html").write_text(f'<a href="{FILE}#sha256={SHA256}">x</a><a href="../acme-web/{SDIST}">x</a>')
    assert verify() == 0
    size = len(CONTENT) + len(SOURCE)
    assert lines(capsys) == [f"files: 2; bytes: {size:,}; without a known hash: 1; wrong: 0; unchecked: 0"]
    assert verify("Acme.Web", "--quick") == 0
    assert lines(capsys) == ["files: 2; without a known hash: 1; wrong: 0; unchecked: 0"]


def test_each_finding_says_what_is_wrong_where_and_what_to_do(folder: Path, capsys: Captured) -> None:
    (folder / f"{FILE}.metadata").write_bytes(b"Name: other\n")
    (folder / f"{FILE}.sha256").write_text(OTHER)
    (folder / "acme_web-2.0.tar.gz.yanked").write_text("gone")
    (folder / "index.html").write_text('<a href="acme_web-3.0.tar.gz">x</a><a href="https://example.com/a.whl">x</a>')
    left = folder / f"{TEMPORARY}0123456789abcdef"
    left.write_bytes(b"half")
    os.utime(left, (then := time.time() - 7200, then))
    assert verify() == 1
    *found, unfinished, _ = lines(capsys)
    beside, anew = "by the file .sha256 beside it", "Write the page anew, or remove it."
    assert sorted(found) == [
        f"{KEY}.metadata: it is not the METADATA in the wheel, which installers compare. Remove it.",
        f"{KEY}: by its bytes, its SHA-256 is {SHA256}, {beside} {OTHER}. "
        "Restore the file, or correct or remove that one.",
        f"acme-web/acme_web-2.0.tar.gz.yanked: it describes a file that is not there. {GC_ADVICE}.",
        f"acme-web/index.html: the page does not name {FILE}, which lies beside it. {anew}",
        f"acme-web/index.html: the page does not name {SDIST}, which lies beside it. {anew}",
        "acme-web/index.html: the page names acme_web-3.0.tar.gz, which is not there. "
        "Write the page anew, or bring the file back.",
    ]
    assert unfinished.startswith(f"acme-web/{left.name}: an upload has begun at 2")
    assert unfinished.endswith(f" UTC and not ended. {GC_ADVICE}.")


def test_programs_get_lines_of_json(folder: Path, capsys: Captured) -> None:
    (folder / f"{FILE}.sha256").write_text("none")
    assert verify("--json", "--quick") == 0  # nothing contradicts it
    assert json.loads(lines(capsys)[0])["files"] == 2
    assert verify("--json") == 1
    finding, end = map(json.loads, lines(capsys))
    assert (finding["problem"], finding["key"], finding["what"].endswith("beside it none")) == ("hash", KEY, True)
    size = len(CONTENT) + len(SOURCE)
    assert end == {"files": 2, "bytes": size, "without_hash": 1, "wrong": 1, "unchecked": 0}


def test_what_is_not_there_is_said(folder: Path, capsys: Captured) -> None:
    assert verify("none") == 3
    assert capsys.readouterr().err == "gateway verify: there is no file of none\n"


async def run_on(
    settings: dict[str, str], tmp_path: Path, *, quick: bool = False
) -> tuple[int, list[dict[str, object]]]:
    said: list[str] = []
    loaded = load(settings | {"storage.max_attempts": "1"}, environ={}, cwd=tmp_path)
    code = await run(loaded, Wish(as_json=True, quick=quick), said.append)
    return code, [json.loads(line) for line in said]


def uploads(body: str) -> object:
    async def behave(answer: Answer) -> None:
        if "uploads" in answer.request.target:
            await serving(UPLOADS.format(body).encode(), [])(answer)
        else:
            await healthy(answer)

    return behave


@pytest.fixture
def stocked(faulty: FaultyBucket) -> FaultyBucket:
    faulty.objects = {KEY: CONTENT}
    faulty.headers[KEY] = [("x-amz-meta-sha256", SHA256)]
    faulty.of_key[""] = uploads("")  # type: ignore[assignment]
    return faulty


async def test_bytes_that_have_changed_are_found(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    assert (await run_on(faulty_settings, tmp_path))[0] == 0
    stocked.objects[KEY] = CONTENT[:-1] + b"\1"
    code, (finding, end) = await run_on(faulty_settings, tmp_path)
    assert (code, finding["problem"], end["wrong"]) == (1, "hash", 1)
    assert str(finding["advice"]).startswith("Restore the file from a backup")
    stocked.requests.clear()
    code, [end] = await run_on(faulty_settings, tmp_path, quick=True)
    assert (code, end["bytes"]) == (0, 0)
    assert [request.method for request in stocked.requests if request.key == KEY] == ["HEAD"]


async def test_a_file_that_is_not_as_long_as_it_is_listed_is_found(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.of_key[KEY] = serving(b"short", [("ETag", etag_of(CONTENT))])
    code, told = await run_on(faulty_settings, tmp_path)
    assert (code, [line.get("problem") for line in told[:-1]]) == (1, ["size"])
    assert f"it has 5 bytes, and the listing says {len(CONTENT)}" in str(told[0]["what"])


async def test_what_gateways_share_is_compared(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    version = version_of(StoredObject(KEY, len(CONTENT), etag_of(CONTENT), 1_700_000_000))
    shared = {"index.share_metadata": "true"}
    stocked.objects[".gateway/metadata/acme-web.json"] = to_document({KEY: Entry(version, ObjectMetadata(OTHER))})
    code, (finding, _) = await run_on(faulty_settings | shared, tmp_path)
    assert (code, finding["advice"]) == (1, "gateway reindex finds it out anew")
    assert (await run_on(faulty_settings, tmp_path))[0] == 0
    of_another = to_document({KEY: Entry("another 1", ObjectMetadata(OTHER))})
    stocked.objects[".gateway/metadata/acme-web.json"] = of_another
    assert (await run_on(faulty_settings | shared, tmp_path))[0] == 0


@pytest.mark.parametrize(("begun", "code"), [("2026-01-01T00:00:00.000Z", 1), ("9999-01-01T00:00:00.000Z", 0)])
async def test_unfinished_uploads_are_found_after_an_hour(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, begun: str, code: int
) -> None:
    stocked.of_key[""] = uploads(UPLOAD.format(begun))  # type: ignore[assignment]
    found, told = await run_on(faulty_settings, tmp_path)
    assert found == code
    assert [line["problem"] for line in told[:-1]] == ["unfinished"] * code


async def test_the_hour_is_told_by_the_clock_of_the_bucket(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    skewed = error(403, "RequestTimeTooSkewed", headers=[("Date", "Thu, 01 Jan 2026 00:30:00 GMT")])
    stocked.of_key[""] = on_first(skewed, uploads(UPLOAD.format("2026-01-01T00:00:00.000Z")))  # type: ignore[arg-type]
    assert (await run_on(faulty_settings, tmp_path))[0] == 0


async def test_uploads_of_others_are_none_of_its_business(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.of_key[""] = uploads(UPLOAD.format("2026-01-01T00:00:00.000Z"))  # type: ignore[assignment]
    settings = faulty_settings | {"rewrite.add_prefix": "/acme-web"}
    assert [line.get("problem") for line in (await run_on(settings, tmp_path))[1][:-1]] == ["unfinished"]
    assert (await run_on(faulty_settings | {"rewrite.add_prefix": "/other"}, tmp_path))[0] == 0


async def test_what_can_t_be_looked_at_is_no_finding_and_not_all_well(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.of_key[KEY] = error(403, "InvalidObjectState")
    code, (finding, end) = await run_on(faulty_settings, tmp_path)
    assert (code, finding["problem"], end["unchecked"]) == (3, "unchecked", 1)
    stocked.of_key[KEY] = error(403, "AccessDenied")
    assert "Let these credentials read it" in str((await run_on(faulty_settings, tmp_path))[1][0]["advice"])
    del stocked.of_key[KEY]
    stocked.of_key[""] = on("GET", error(403, "AccessDenied"))
    assert (await run_on(faulty_settings, tmp_path))[0] == 3


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("behaviour", [error(404, "NoSuchKey"), serving(CONTENT, [("ETag", '"another"')])])
async def test_what_is_listed_and_can_t_be_had_is_not_well(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, behaviour: Behaviour, quick: bool
) -> None:
    """Servers lose files, and some list another ETag than an object has."""
    stocked.of_key[KEY] = behaviour
    code, (finding, end) = await run_on(faulty_settings, tmp_path, quick=quick)
    assert (code, finding["problem"], finding["key"], end["unchecked"]) == (3, "unchecked", KEY, 1)
    assert str(finding["what"]).startswith("it is listed, and can't be had: ")


async def test_what_goes_meanwhile_is_passed_over(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    async def gone(answer: Answer) -> None:
        stocked.objects.pop(KEY, None)
        await healthy(answer)

    stocked.of_key[KEY] = gone
    code, [end] = await run_on(faulty_settings, tmp_path)
    assert (code, end["files"]) == (0, 0)


def test_what_can_t_be_listed_is_said(folder: Path, capsys: Captured) -> None:
    """As a volume that is not mounted; or a directory of somebody else, which root could read in a test."""
    (folder.parent / "other").mkdir()
    link = folder.parent / "other" / "other-1.0.tar.gz"
    link.symlink_to("/nowhere")
    link.with_name(f"{link.name}.yanked").write_text("it breaks")  # which is no leftover
    assert verify("--json", "acme-web") == 0
    capsys.readouterr()
    assert verify("--json") == 3
    finding, end = map(json.loads, lines(capsys))
    key = "other/other-1.0.tar.gz"
    assert (finding["problem"], finding["key"], end["files"], end["wrong"]) == ("unchecked", key, 2, 0)


async def test_what_describes_a_file_that_may_be_there_is_no_leftover(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.objects["acme-web/acme_web-2.0.tar.gz.yanked"] = b"x"
    assert (await run_on(faulty_settings, tmp_path))[1][0]["problem"] == "leftover"
    stocked.of_key["acme-web/acme_web-2.0.tar.gz"] = error(403, "AccessDenied")
    code, told = await run_on(faulty_settings, tmp_path)
    assert (code, told[0]["problem"]) == (3, "unchecked")
    stocked.of_key["acme-web/acme_web-2.0.tar.gz"] = serving(b"", [("ETag", '"e"')])
    assert (await run_on(faulty_settings, tmp_path))[0] == 0


async def test_it_gives_up_when_nothing_can_be_looked_at(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    for number in range(40):
        key = f"acme-web/acme_web-{number}.tar.gz"
        stocked.objects[key] = b"x"
        stocked.of_key[key] = error(403, "AccessDenied")
    code, told = await run_on(faulty_settings, tmp_path)
    assert (code, len(told)) == (3, 20)
    assert "gave up" in capsys.readouterr().err
