"""`gateway gc`, of a directory and of a bucket."""

import json
import os
import time
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.upkeep.gc import Wish, run
from gateway.config.load import load
from gateway.publish.upkeep.garbage import Collector, Garbage, Policy
from gateway.storage.local.tree import TEMPORARY
from tests.support.bucket import Bucket
from tests.support.faults import Answer, FaultyBucket, error, healthy, on, on_first, serving

pytestmark = pytest.mark.usefixtures("logging_stays")

Captured = pytest.CaptureFixture[str]
DAY = 86400.0
UPLOADS = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packages").mkdir()
    return tmp_path / "packages"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed writer has left counts as abandoned at once. So would what another writer has just begun: this is
    for tests that write nothing."""
    monkeypatch.setattr("gateway.storage.local.writer._ABANDONED_SECONDS", 0.0)


def fill(root: Path, *keys: str, days: float = 2) -> None:
    then = time.time() - days * DAY
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(key.encode())
        os.utime(root / key, (then, then))


def keys(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def gc(*arguments: str) -> int:
    return main(["gc", *arguments, "--dir", "packages"])


KEPT = ["acme/acme-1.0.tar.gz", "acme/acme-1.0.tar.gz.yanked", "acme/notes.sig"]
USED = ".gateway/jti/2026-11-01T03/0123"
GARBAGE = [
    USED,
    ".gateway/probe/0123",
    f"acme/{TEMPORARY}0123456789abcdef",
    "acme/acme-2.0.tar.gz.metadata",
    "acme/acme-2.0.tar.gz.provenance",
]


@pytest.mark.usefixtures("at_once")
def test_nothing_is_removed_before_somebody_says_so(root: Path, capsys: Captured) -> None:
    fill(root, *KEPT, *GARBAGE)
    assert gc() == 0
    *told, end = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(": would be removed (")[0] for line in told) == GARBAGE
    assert end == "5 would be removed: give --yes to remove them"
    assert keys(root) == sorted([*KEPT, *GARBAGE])


@pytest.mark.usefixtures("at_once")
def test_what_nobody_needs_is_removed_and_nothing_else(root: Path, capsys: Captured) -> None:
    fill(root, *KEPT, *GARBAGE)
    fill(root, "acme/acme-3.0.tar.gz.metadata", ".gateway/probe/new", "acme/acme-4.0a1.tar.gz", days=0.5)
    fill(root, ".gateway/jti/new/1", days=0.5)
    assert gc("--yes") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 removed"
    young = [".gateway/jti/new/1", "acme/acme-3.0.tar.gz.metadata", ".gateway/probe/new", "acme/acme-4.0a1.tar.gz"]
    assert keys(root) == sorted([*KEPT, *young])
    assert gc("--yes", "--leftover-age", "6h", "--json") == 0
    kinds = [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["probe", "leftover"]
    assert gc() == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_a_terminal_does_not_obey_what_keys_say(root: Path, capsys: Captured) -> None:
    fill(root, "web\x1b[2J\r\x9b/web-1.0.tar.gz.yanked")
    assert gc() == 0
    assert capsys.readouterr().out.startswith("web\\x1b[2J\\x0d\\x9b/web-1.0.tar.gz.yanked: would be removed")


def test_what_describes_a_file_behind_a_link_stays_while_that_leads_nowhere(root: Path, capsys: Captured) -> None:
    """The volume with the files may be away for a moment."""
    fill(root, "web/web-1.0.tar.gz.yanked", "web/web-1.0.tar.gz.sha256", days=30)
    link = root / "web" / "web-1.0.tar.gz"
    link.symlink_to("../pool/web-1.0.tar.gz")
    assert gc("--yes") == 0
    assert {"web/web-1.0.tar.gz.yanked", "web/web-1.0.tar.gz.sha256"} <= {*keys(root)}
    link.unlink()
    assert gc("--yes") == 0
    assert not (root / "web").exists()


def test_old_pre_releases_leave_tombstones_and_gateways_are_told(root: Path, capsys: Captured) -> None:
    names = [f"acme/acme-1.0.dev{number}.tar.gz" for number in range(4)]
    fill(root, *names, f"{names[0]}.yanked", "acme/acme-1.0.tar.gz", days=100)
    fill(root, "other/other-1.0a1.tar.gz", days=10)
    policy = "--keep-pre-releases", "2", "--older-than", "90d"
    assert gc(*policy) == 0
    assert len(keys(root)) == 7
    assert gc(*policy, "--yes", "--set", "publish.beacon=true") == 0
    captured = capsys.readouterr()
    assert "(pre-release: 1.0.dev0, of 2" in captured.out
    assert "Gateways see it now" in captured.err
    assert b'"acme"' in (root / ".gateway" / "epoch").read_bytes()
    tombstones = [f".gateway/deleted/acme-1.0.dev{number}.tar.gz.json" for number in (0, 1)]
    left = [*tombstones, ".gateway/epoch", "acme/acme-1.0.tar.gz", *names[2:], "other/other-1.0a1.tar.gz"]
    assert keys(root) == sorted(left)


def test_stored_pages_name_no_pre_release_that_is_gone(root: Path) -> None:
    fill(root, "acme/acme-1.0a1.tar.gz", "acme/acme-1.0.tar.gz")
    page = root / "acme" / "index.html"
    links = "".join(f'<a href="{name}">{name}</a>' for name in ("acme-1.0a1.tar.gz", "acme-1.0.tar.gz"))
    page.write_text(f"<html><body>{links}</body></html>")
    assert gc("--keep-pre-releases", "0", "--yes") == 0
    assert page.read_text() == '<html><body><a href="acme-1.0.tar.gz">acme-1.0.tar.gz</a></body></html>'


def test_a_pre_release_that_others_replace_before_its_turn_stays(
    root: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, replaced = "acme/acme-1.0a1.tar.gz", "acme/acme-1.0a2.tar.gz"
    fill(root, old, replaced)
    page = root / "acme" / "index.html"
    links = [f'<a href="{name}">{name}</a>' for name in ("acme-1.0a1.tar.gz", "acme-1.0a2.tar.gz")]
    page.write_text("".join(links))
    remove = Collector.remove

    async def after_others(self: Collector, garbage: Garbage) -> None:
        (root / replaced).write_bytes(b"new")
        await remove(self, garbage)

    monkeypatch.setattr(Collector, "remove", after_others)
    assert gc("--keep-pre-releases", "0", "--yes") == 1
    assert f"{replaced}: can't be removed: " in capsys.readouterr().out
    assert keys(root) == [".gateway/deleted/acme-1.0a1.tar.gz.json", replaced, "acme/index.html"]
    assert page.read_text() == links[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--older-than", "90"], "give hours, days or weeks"),
        (["--keep-pre-releases", "-1"], "'-1' is not a number"),
        (["--keep-pre-releases", "x"], "'x' is not a number"),
    ],
)
def test_a_command_line_that_can_t_be_meant(root: Path, capsys: Captured, arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        gc(*arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_an_age_of_pre_releases_alone_removes_none(root: Path, capsys: Captured) -> None:
    assert gc("--older-than", "90d") == 2
    assert "--older-than (command line): needs --keep-pre-releases" in capsys.readouterr().err


@pytest.mark.usefixtures("at_once")
def test_without_listings_there_are_no_pre_releases(root: Path, capsys: Captured) -> None:
    fill(root, *GARBAGE)
    static = "--set", "index.mode=static"
    assert gc(*static, "--keep-pre-releases", "1", "--yes") == 1
    assert "needs index.mode auto or generated" in capsys.readouterr().err
    assert gc(*static, "--yes") == 0
    assert keys(root) == []


async def run_on(settings: dict[str, str], tmp_path: Path, policy: Policy) -> tuple[int, list[dict[str, object]]]:
    said: list[str] = []
    loaded = load(settings | {"storage.max_attempts": "1"}, environ={}, cwd=tmp_path)
    code = await run(loaded, Wish(policy, sure=True, as_json=True), said.append)
    return code, [json.loads(line) for line in said]


async def test_parts_of_unfinished_uploads_are_removed_from_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("acme/acme-1.0.tar.gz", b"x")
    for key in ("acme/acme-2.0.tar.gz", "acme/acme-3.0+cu1.tar.gz"):
        upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
        bucket.client.upload_part(Bucket=bucket.name, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    assert await run_on(bucket.settings(), tmp_path, Policy(3600.0)) == (0, [])
    code, told = await run_on(bucket.settings(), tmp_path, Policy(-60.0))
    assert (code, [line["kind"] for line in told]) == (0, ["upload", "upload"])
    assert bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", []) == []
    assert [item["Key"] for item in bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]] == [
        "acme/acme-1.0.tar.gz"
    ]


async def test_uploads_of_others_in_the_bucket_stay(bucket: Bucket, tmp_path: Path) -> None:
    for key in ("backups/disk.img", "index/acme/acme-1.0.tar.gz", ".gateway/metadata/acme.json"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    code, told = await run_on(bucket.settings(rewrite__add_prefix="/index"), tmp_path, Policy(-60.0))
    assert (code, len(told)) == (0, 2)
    left = bucket.client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]
    assert [item["Key"] for item in left] == ["backups/disk.img"]


async def test_the_age_of_things_is_told_by_the_clock_of_the_bucket(
    faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    """With one of this machine that is ahead, an upload that has just begun would be ended."""
    theirs = time.time() - 2 * DAY
    begun, left = (datetime.fromtimestamp(theirs - days * DAY, UTC).isoformat() for days in (0.5, 1.5))
    upload = f"<Upload><Key>acme/acme-2.0.zip</Key><UploadId>1</UploadId><Initiated>{begun}</Initiated></Upload>"
    body = UPLOADS.replace("</List", f"{upload}</List").encode()

    async def bucket(answer: Answer) -> None:
        await (serving(body, []) if "uploads" in answer.request.target else healthy)(answer)

    faulty.of_key[""] = on_first(error(403, "RequestTimeTooSkewed", headers=[("Date", formatdate(theirs))]), bucket)
    keys = ["acme/acme-1.0.tar.gz.yanked", ".gateway/jti/1"]
    faulty.objects = dict.fromkeys([*keys, ".gateway/probe/1"], b"x")
    faulty.modified = dict.fromkeys(keys, begun) | {".gateway/probe/1": left}
    code, told = await run_on(faulty_settings, tmp_path, Policy(DAY))
    assert (code, [line["kind"] for line in told]) == (0, ["probe"])
    assert sorted(faulty.objects) == sorted(keys)
    faulty.of_key[""] = bucket
    assert len((await run_on(faulty_settings, tmp_path, Policy(DAY)))[1]) == 3


async def test_what_fails_is_said_and_the_rest_is_done(
    faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, capsys: Captured
) -> None:
    async def bucket(answer: Answer) -> None:
        refuse = error(403, "AccessDenied")
        await (refuse if "uploads" in answer.request.target else healthy)(answer)

    faulty.of_key[""] = bucket
    leftovers = ["acme/acme-1.0.tar.gz.yanked", "acme/acme-2.0.tar.gz.yanked"]
    faulty.objects = dict.fromkeys([*leftovers, ".gateway/probe/1"], b"x")
    faulty.of_key[leftovers[0]] = on("DELETE", error(403, "AccessDenied"))
    code, told = await run_on(faulty_settings, tmp_path, Policy(DAY))
    assert (code, [line["removed"] for line in told].count(False)) == (1, 1)
    assert "s3:ListBucketMultipartUploads" in capsys.readouterr().err
    assert [*faulty.objects] == [leftovers[0]]


async def test_a_file_that_may_be_there_keeps_what_describes_it(
    faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    """Its listing may be late, or these credentials may not read it."""

    async def bucket(answer: Answer) -> None:
        await (serving(UPLOADS.encode(), []) if "uploads" in answer.request.target else healthy)(answer)

    faulty.of_key[""] = bucket
    faulty.objects = {"acme/acme-1.0.tar.gz.yanked": b"x"}
    for there in (serving(b"", [("ETag", '"e"')]), error(403, "AccessDenied")):
        faulty.of_key["acme/acme-1.0.tar.gz"] = there
        assert await run_on(faulty_settings, tmp_path, Policy(DAY)) == (0, [])
    faulty.of_key["acme/acme-1.0.tar.gz"] = error(503, "SlowDown")
    assert (await run_on(faulty_settings, tmp_path, Policy(DAY)))[0] == 1
    assert [*faulty.objects] == ["acme/acme-1.0.tar.gz.yanked"]


async def test_it_gives_up_when_nothing_can_be_removed(
    faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    for number in range(40):
        faulty.objects[key := f".gateway/probe/{number:02}"] = b"x"
        faulty.of_key[key] = error(403, "AccessDenied")
    code, told = await run_on(faulty_settings, tmp_path, Policy(DAY))
    assert (code, len(told)) == (1, 20)
