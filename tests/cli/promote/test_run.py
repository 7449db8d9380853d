"""`gateway promote`, between directories and within a bucket that misbehaves."""

import hashlib
import json
from base64 import b64encode
from pathlib import Path

import pytest
from packaging.version import Version

from gateway.cli.main import main
from gateway.cli.promote.run import Wish, run
from gateway.config.load import load
from tests.support.faults import Answer, FaultyBucket, error, healthy, reset
from tests.support.wheels import sdist, wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

FILE, CONTENT = wheel("acme_web", "1.0")
OTHER = wheel("acme_web", "1.0", summary="another")[1]
SDIST, SOURCE = sdist("acme_web", "1.0")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prod").mkdir()
    folder = tmp_path / "dev" / "acme-web"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(CONTENT)
    (folder / SDIST).write_bytes(SOURCE)
    (folder / f"{FILE}.provenance").write_bytes(b"{}")
    (folder / f"{FILE}.metadata").write_bytes(b"Name: acme-web\n")
    return folder


def promote(*arguments: str, to: str = "prod") -> int:
    return main(["promote", "Acme.Web", "1.0.0", "--dir", "dev", "--to", to, *arguments])


def provenance(filename: str, content: bytes) -> bytes:
    subject = {"name": filename, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
    statement = b64encode(json.dumps({"subject": [subject]}).encode()).decode()
    bundle = {"attestations": [{"envelope": {"statement": statement}}]}
    return json.dumps({"attestation_bundles": [bundle]}).encode()


def keys(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_release_is_copied_with_what_describes_it_and_its_time(folder: Path, capsys: Captured) -> None:
    prod = folder.parent.parent / "prod"
    assert promote("--set", "publish.beacon=true") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{FILE}: promoted\n{SDIST}: promoted\n"
    assert "acme-web: Gateways see it now" in captured.err
    mine = [f"acme-web/{name}" for name in (FILE, f"{FILE}.metadata", f"{FILE}.provenance", SDIST)]
    assert keys(prod) == [".gateway/epoch", *sorted(mine)]
    assert (prod / "acme-web" / FILE).read_bytes() == CONTENT
    assert (prod / "acme-web" / FILE).stat().st_mtime == pytest.approx((folder / FILE).stat().st_mtime)
    assert not (folder.parent / ".gateway").exists()  # nothing has changed there
    (prod / "acme-web" / f"{FILE}.provenance").unlink()
    assert promote("--json") == 0
    said = capsys.readouterr()
    assert [json.loads(line)["outcome"] for line in said.out.splitlines()] == ["there already"] * 2
    assert "Gateways see it within" in said.err
    assert (prod / "acme-web" / f"{FILE}.provenance").read_bytes() == b"{}"


def test_gateways_are_told_of_what_was_there(folder: Path) -> None:
    """Whoever wrote it may have been killed before telling them."""
    beacon, before = folder.parent.parent / "prod" / ".gateway" / "epoch", b""
    for _ in range(2):
        assert promote("--set", "publish.beacon=true") == 0
        assert before != beacon.read_bytes()
        before = beacon.read_bytes()


def test_provenance_of_other_bytes_does_not_come_along(folder: Path) -> None:
    for filename, content in ((FILE, OTHER), (SDIST, SOURCE)):
        (folder / f"{filename}.provenance").write_bytes(provenance(filename, content))
    assert promote() == 0
    there = folder.parent.parent / "prod" / "acme-web"
    assert [path.name for path in there.glob("*.provenance")] == [f"{SDIST}.provenance"]


def test_a_file_gets_none_of_other_bytes_that_lies_there(folder: Path) -> None:
    """Beside a file that somebody has removed without it."""
    there = folder.parent.parent / "prod" / "acme-web"
    there.mkdir()
    (there / f"{FILE}.provenance").write_bytes(provenance(FILE, OTHER))
    (there / f"{SDIST}.provenance").write_bytes(provenance(SDIST, SOURCE))
    (there / f"{FILE}.yanked").write_text("another")
    (there / f"{FILE}.sha256").write_text("ab" * 32)
    (there / f"{FILE}.metadata").write_bytes(b"Name: another\n")
    assert promote() == 0
    assert not (there / f"{FILE}.yanked").exists()
    assert not (there / f"{FILE}.sha256").exists()
    assert (there / f"{FILE}.metadata").read_bytes() == b"Name: acme-web\n"
    assert (there / f"{FILE}.provenance").read_bytes() == b"{}"
    assert (there / f"{SDIST}.provenance").read_bytes() == provenance(SDIST, SOURCE)


def test_a_hash_of_other_bytes_does_not_come_along(folder: Path) -> None:
    (folder / f"{FILE}.sha256").write_text("ab" * 32)
    (folder / f"{SDIST}.sha256").write_text(f"{hashlib.sha256(SOURCE).hexdigest()}  {SDIST}\n")
    assert promote() == 0
    there = folder.parent.parent / "prod" / "acme-web"
    assert [path.name for path in there.glob("*.sha256")] == [f"{SDIST}.sha256"]


def test_other_bytes_are_a_conflict_and_what_describes_them_stays(folder: Path, capsys: Captured) -> None:
    there = folder.parent.parent / "prod" / "Acme_Web"
    there.mkdir()
    (there / FILE).write_bytes(OTHER)
    assert promote() == 4
    assert capsys.readouterr().out == (
        f"{FILE}: conflict: File already exists, with other content: {FILE}\n"
        f"{SDIST}: not promoted: not all wheels of the release are there\n"
    )
    assert (there / FILE).read_bytes() == OTHER
    assert keys(there.parent) == [f"Acme_Web/{FILE}"]
    assert promote("--file", SDIST) == 0
    assert keys(there.parent) == [f"Acme_Web/{FILE}", f"acme-web/{SDIST}"]


def test_a_deleted_name_comes_back_with_its_own_bytes_only(folder: Path, capsys: Captured) -> None:
    there = folder.parent.parent / "prod" / "acme-web"
    there.mkdir()
    delete = ["delete", "acme-web", "1.0", "--file", FILE, "--yes", "--dir", "prod"]
    (there / FILE).write_bytes(OTHER)
    assert main(delete) == 0
    assert promote("--file", FILE) == 4
    assert "was deleted there" in capsys.readouterr().out
    assert not (there / FILE).exists()
    assert main([*delete, "--forget"]) == 1  # it is not there
    (folder.parent.parent / "prod" / ".gateway" / "deleted" / f"{FILE}.json").write_text(
        json.dumps({"sha256": hashlib.sha256(CONTENT).hexdigest()})
    )
    assert promote("--file", FILE) == 0
    assert keys(there) == [FILE, f"{FILE}.metadata", f"{FILE}.provenance"]


def test_a_yanked_file_is_not_promoted_nor_are_the_others(folder: Path, capsys: Captured) -> None:
    (folder / f"{SDIST}.yanked").write_text("breaks")
    assert promote() == 1
    assert f"acme-web/{SDIST} is yanked: unyank it first" in capsys.readouterr().err
    assert keys(folder.parent.parent / "prod") == []
    assert promote("--file", FILE) == 0


def test_a_stored_page_names_what_has_been_promoted(folder: Path, capsys: Captured) -> None:
    page = folder.parent.parent / "prod" / "acme-web" / "index.html"
    page.parent.mkdir()
    page.write_text("<!DOCTYPE html><html><body></body></html>")
    assert promote() == 0
    assert f'href="{FILE}#sha256={hashlib.sha256(CONTENT).hexdigest()}"' in page.read_text()
    assert main(["verify", "--dir", "prod", "--quick"]) == 0
    page.write_bytes(b"\xff")
    assert promote() == 1
    assert "can't be changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--to", "dev"], 2, "--to (command line): is where the release is already"),
        (["--to", "./dev/../dev"], 2, "is where the release is already"),
        (["--to", "nowhere"], 2, "is neither s3://bucket/prefix, nor a directory"),
        (["--to", "s3://b!/x"], 2, "--to (command line): s3://b!/x can't be used"),
        (["--to", "prod", "--from", "prod"], 2, "is where the release is already"),
        (["--to", "prod", "--file", "x.whl"], 1, "acme-web 1.0 has no file x.whl"),
        (["--to", "dev", "--from", "prod"], 1, "the storage has no projects"),
    ],
)
def test_what_can_t_be_meant_is_said(
    folder: Path, capsys: Captured, arguments: list[str], code: int, words: str
) -> None:
    assert main(["promote", "acme-web", "1.0", "--dir", "dev", *arguments]) == code
    assert words in capsys.readouterr().err


def test_a_file_of_settings_is_a_place_and_heeds_no_variables(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent.parent / "prod.yaml").write_text(
        "storage: {dir: prod, prefix: team/}\nrewrite: {add_prefix: /x}\nindex: {layout: flat}\n"
    )
    monkeypatch.setenv("GATEWAY_STORAGE__PREFIX", "wrong/")
    assert main(["promote", "acme-web", "1.0", "--from", "dev", "--to", "prod.yaml", "--file", SDIST]) == 0
    assert keys(folder.parent.parent / "prod") == [f"team/x/{SDIST}"]


async def run_on(settings: dict[str, str], tmp_path: Path, to: str = "s3://teams-bucket/prod") -> tuple[int, list[str]]:
    said: list[str] = []
    loaded = load(settings | {"storage.max_attempts": "1", "storage.prefix": "dev/"}, environ={}, cwd=tmp_path)
    code = await run(loaded, Wish("acme-web", Version("1.0"), to), said.append)
    return code, said


KEY, COPY = f"dev/acme-web/{FILE}", f"prod/acme-web/{FILE}"


@pytest.fixture
def stocked(faulty: FaultyBucket) -> FaultyBucket:
    faulty.objects = {KEY: CONTENT, f"{KEY}.metadata": b"Name: acme-web\n"}
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    faulty.headers[KEY] = [
        ("Content-Type", "application/zip"),
        ("x-amz-meta-sha256", sha256),
        ("x-amz-meta-uploader", "bob"),
        ("x-amz-meta-requires-python", ">=3.9"),
    ]
    return faulty


async def test_a_bucket_copies_by_itself(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    assert await run_on(faulty_settings, tmp_path) == (0, [f"{FILE}: promoted"])
    assert sorted(stocked.objects) == sorted([KEY, f"{KEY}.metadata", COPY, f"{COPY}.metadata"])
    assert stocked.objects[COPY] == CONTENT
    said = dict(stocked.headers[COPY])
    assert (said["Content-Type"], said["x-amz-meta-uploader"]) == ("application/zip", "bob")
    assert said["x-amz-meta-upload-time"] == "2023-11-14T22:13:20+00:00"  # when it came to the source
    assert [request.method for request in stocked.requests if request.key == KEY] == ["HEAD"] * 4  # no bytes
    assert await run_on(faulty_settings, tmp_path) == (0, [f"{FILE}: there already"])


async def test_a_file_whose_own_metadata_yank_it_is_not_promoted(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    stocked.headers[KEY].append(("x-amz-meta-yanked", "true"))
    assert await run_on(faulty_settings, tmp_path) == (1, [])
    assert "is yanked" in capsys.readouterr().err


async def test_where_copies_ignore_the_condition_they_are_made_in_parts(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.heeds_conditions_of_copies = False
    assert await run_on(faulty_settings, tmp_path) == (0, [f"{FILE}: promoted"])
    assert stocked.objects[COPY] == CONTENT
    copies = [request for request in stocked.requests if request.key == COPY]
    assert [request.method for request in copies if request.method not in ("HEAD", "GET")] == ["POST", "PUT", "POST"]
    assert copies[-2].headers["if-none-match"] == "*"


@pytest.mark.parametrize("status", [400, 501])
async def test_where_copies_know_no_condition_they_are_made_in_parts(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, status: int
) -> None:
    async def strict(answer: Answer) -> None:
        headers = answer.request.headers
        refused = "if-none-match" in headers and "x-amz-copy-source" in headers
        await (error(status, "NotImplemented") if refused else healthy)(answer)

    stocked.then(strict, times=200)
    assert await run_on(faulty_settings, tmp_path) == (0, [f"{FILE}: promoted"])
    assert stocked.objects[COPY] == CONTENT


async def test_where_no_condition_is_heeded_nothing_is_copied_unless_that_is_unsafe(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    stocked.heeds_conditions = False
    code, [said] = await run_on(faulty_settings, tmp_path)
    assert (code, "ignores If-None-Match" in said) == (1, True)
    assert COPY not in stocked.objects
    assert await run_on(faulty_settings | {"publish.unsafe": "true"}, tmp_path) == (0, [f"{FILE}: promoted"])
    assert stocked.objects[COPY] == CONTENT


@pytest.mark.parametrize(
    ("there", "code", "outcome"),
    [(CONTENT, 0, "there already"), (OTHER, 4, "conflict: File already exists, with other content: " + FILE)],
)
async def test_another_writer_may_be_first(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, there: bytes, code: int, outcome: str
) -> None:
    async def racing(answer: Answer) -> None:
        if answer.request.method == "PUT":
            answer.bucket.objects[COPY] = there
        await healthy(answer)

    stocked.of_key[COPY] = racing
    assert await run_on(faulty_settings, tmp_path) == (code, [f"{FILE}: {outcome}"])
    assert stocked.objects[COPY] == there
    assert (f"{COPY}.metadata" in stocked.objects) is (code == 0)


async def test_a_lost_answer_is_no_failure(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    async def lost(answer: Answer) -> None:
        if answer.request.method == "PUT":
            answer.bucket.objects[COPY] = CONTENT
            await reset(answer)
        else:
            await healthy(answer)

    stocked.of_key[COPY] = lost
    assert await run_on(faulty_settings, tmp_path) == (0, [f"{FILE}: promoted"])
    del stocked.objects[COPY]

    async def refused(answer: Answer) -> None:
        await (error(403, "AccessDenied") if answer.request.method == "PUT" else healthy)(answer)

    stocked.of_key[COPY] = refused
    code, [said] = await run_on(faulty_settings, tmp_path)
    assert (code, "writing is not permitted" in said) == (1, True)


async def test_a_source_that_changes_meanwhile_is_not_copied(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    async def changed(answer: Answer) -> None:
        await (error(412, "PreconditionFailed") if answer.request.method == "PUT" else healthy)(answer)

    stocked.of_key[COPY] = changed
    code, [said] = await run_on(faulty_settings, tmp_path)
    assert (code, "has changed meanwhile" in said) == (1, True)


async def test_into_another_storage_the_bytes_pass_through_and_are_verified(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "prod").mkdir()
    to = str(tmp_path / "prod")
    stocked.objects[KEY] = CONTENT[:-1] + b"\1"
    code, [said] = await run_on(faulty_settings, tmp_path, to)
    assert (code, "does not have the SHA-256" in said) == (1, True)
    assert keys(tmp_path / "prod") == []
    stocked.objects[KEY] = CONTENT
    assert await run_on(faulty_settings, tmp_path, to) == (0, [f"{FILE}: promoted"])
    assert keys(tmp_path / "prod") == [f"acme-web/{FILE}", f"acme-web/{FILE}.metadata"]


@pytest.mark.parametrize(
    ("place", "status", "why"),
    [
        ("dev", "quarantined", "is quarantined: stolen"),
        ("dev", "archived", ""),
        ("prod", "quarantined", "is quarantined: stolen (at the destination)"),
        ("prod", "archived", "is archived: stolen (at the destination)"),
        ("prod", "deprecated", ""),
    ],
)
def test_what_a_status_forbids_is_not_promoted(
    folder: Path, capsys: Captured, place: str, status: str, why: str
) -> None:
    document = folder.parent.parent / place / ".gateway" / "status.json"
    document.parent.mkdir()
    said = {"acme-web": {"status": status, "reason": "stolen"}}
    document.write_text(json.dumps({"format": 1, "projects": said}))
    assert promote() == (1 if why else 0)
    assert f"Project acme-web {why}\n" in capsys.readouterr().err or not why
    assert (folder.parent.parent / "prod" / "acme-web").exists() is not bool(why)


@pytest.mark.parametrize(("place", "status"), [("dev", "quarantined"), ("prod", "archived")])
async def test_a_status_that_comes_meanwhile_holds_for_the_files_that_are_left(
    stocked: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, place: str, status: str
) -> None:
    stocked.objects[f"dev/acme-web/{SDIST}"] = SOURCE

    async def marking(answer: Answer) -> None:
        said = {"acme-web": {"status": status, "reason": "stolen"}}
        stocked.objects[f"{place}/.gateway/status.json"] = json.dumps({"format": 1, "projects": said}).encode()
        await healthy(answer)

    stocked.of_key[f"{COPY}.metadata"] = marking  # that of the wheel, which comes first
    code, told = await run_on(faulty_settings, tmp_path)
    assert (code, told[0]) == (1, f"{FILE}: promoted")
    assert told[1].startswith(f"{SDIST}: failed: Project acme-web is {status}: stolen")
    assert f"prod/acme-web/{SDIST}" not in stocked.objects


def test_a_mount_is_a_place_before_a_path_of_its_name(folder: Path, capsys: Captured) -> None:
    root = folder.parent.parent
    mounts = "".join(f"- {{name: {name}, path: /{name}, storage: {{dir: m-{name}}}}}\n" for name in ("prod", "dev"))
    (root / "config.yaml").write_text(f"mounts:\n{mounts}- {{name: all, path: /all, members: [prod]}}\n")
    (root / "dev").rename(root / "m-dev")
    (root / "m-prod").mkdir()
    release = ["promote", "acme-web", "1.0", "--file", FILE]
    assert main([*release, "--from", "dev", "--to", "prod"]) == 0
    assert f"acme-web/{FILE}" in keys(root / "m-prod")
    assert keys(root / "prod") == []
    assert main([*release, "--mount", "dev", "--to", "./prod"]) == 0
    assert f"acme-web/{FILE}" in keys(root / "prod")
    capsys.readouterr()
    for arguments, said in (
        (["--to", "prod"], "which of them is meant?"),
        (["--mount", "prod", "--to", "prod"], "--to (command line): is where the release is already"),
        (["--mount", "dev", "--to", "all"], "--to (command line): all is a virtual index and has no storage"),
        (
            ["--mount", "dev", "--to", "config.yaml"],
            "the top level of config.yaml names no bucket",
        ),
    ):
        assert main([*release, *arguments]) == 2
        assert said in capsys.readouterr().err


def test_without_mounts_default_is_a_path_like_others(folder: Path) -> None:
    (folder.parent.parent / "default").mkdir()
    assert promote("--file", FILE, to="default") == 0
    assert f"acme-web/{FILE}" in keys(folder.parent.parent / "default")
