"""Commands where there are several mounts: what each does to the one that is meant, and to no other."""

import logging
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cli.main import main
from gateway.cli.serve import try_storages
from gateway.config.load import load
from tests.support.bucket import Bucket
from tests.support.wheels import wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

FILE, CONTENT = wheel("acme_web", "1.0")
TWO = """
storage: {dir: main}
mounts:
- {name: team-b, path: /team-b, storage: {dir: b}}
- {name: all, path: /all, members: [default, team-b]}
"""
KEY = "access: {tokens: {keys: ['file:key']}}\n"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both mounts have the same file."""
    monkeypatch.chdir(tmp_path)
    for name in ("main", "b"):
        (tmp_path / name / "acme-web").mkdir(parents=True)
        (tmp_path / name / "acme-web" / FILE).write_bytes(CONTENT)
    (tmp_path / "config.yaml").write_text(TWO)
    return tmp_path


def files(root: Path, name: str) -> set[str]:
    return {str(path.relative_to(root / name)) for path in (root / name).rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["yank", "acme-web", "1.0"], f"acme-web/{FILE}.yanked"),
        (["status", "acme-web", "archived"], ".gateway/status.json"),
        (["publish", "acme_web-2.0-py3-none-any.whl"], "acme-web/acme_web-2.0-py3-none-any.whl"),
        (["reindex", "--set", "index.share_metadata=true"], ".gateway/metadata/acme-web"),
    ],
)
def test_what_a_command_writes_lies_at_the_mount_that_is_meant(root: Path, arguments: list[str], made: str) -> None:
    name, content = wheel("acme_web", "2.0")
    (root / name).write_bytes(content)
    before = files(root, "main")
    assert main([*arguments, "--mount", "team-b"]) == 0
    assert any(file.startswith(made) for file in files(root, "b")), files(root, "b")
    assert files(root, "main") == before
    assert main(arguments) == 0
    assert any(file.startswith(made) for file in files(root, "main"))


def test_what_a_command_removes_goes_from_the_mount_that_is_meant(root: Path) -> None:
    (root / "b" / "acme-web" / "gone-1.0.tar.gz.yanked").touch()
    assert main(["gc", "--yes", "--leftover-age", "0h", "--mount", "team-b"]) == 0
    assert main(["delete", "acme-web", "1.0", "--yes", "--mount", "team-b"]) == 0
    assert not [file for file in files(root, "b") if file.startswith("acme-web/")]
    assert files(root, "main") == {f"acme-web/{FILE}"}


def test_verify_looks_at_the_mount_that_is_meant(root: Path, capsys: Captured) -> None:
    (root / "b" / "acme-web" / f"{FILE}.sha256").write_text("ab" * 32)
    assert main(["verify"]) == 0
    assert main(["verify", "--mount", "team-b"]) == 1
    assert FILE in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["yank", "acme-web", "1.0"],
        ["publish", FILE],
        ["promote", "acme-web", "1.0", "--to", "elsewhere"],
        ["verify"],
        ["token", "revoke", "a"],
        ["access", "test", "expectations.yaml"],
        ["url", "/all/x"],
    ],
)
def test_a_virtual_index_is_refused_where_a_storage_is_needed(
    root: Path, arguments: list[str], capsys: Captured
) -> None:
    assert main([*arguments, "--mount", "all"]) == 2
    assert "name one of its members: default, team-b" in capsys.readouterr().err


def test_a_mount_and_a_place_can_t_both_be_meant(root: Path, capsys: Captured) -> None:
    for place in ("--dir", "--bucket"):
        with pytest.raises(SystemExit) as ended:
            main(["verify", "--mount", "team-b", place, "main"])
        assert ended.value.code == 2
        assert "--mount: not allowed with argument" in capsys.readouterr().err.replace(f"{place}: not", "--mount: not")


def test_publish_to_a_gateway_needs_no_mount(root: Path, capsys: Captured) -> None:
    (root / FILE).write_bytes(CONTENT)
    (root / "config.yaml").write_text(TWO.replace("storage: {dir: main}", "").replace("[default, ", "["))
    assert main(["publish", FILE, "--dry-run"]) == 2
    assert "which of them is meant?" in capsys.readouterr().err
    assert main(["publish", FILE, "--dry-run", "--to", "http://127.0.0.1:1/legacy/"]) == 0


def test_the_url_is_that_of_the_mount_that_the_path_leads_to(root: Path, bucket: Bucket, capsys: Captured) -> None:
    bucket.put("acme-web/a.whl", b"content")
    at_b = [part for name, value in bucket.settings().items() for part in ("--set", f"mounts.team-b.{name}={value}")]
    for arguments in (["/team-b/acme-web/a.whl"], ["/team-b/acme-web/a.whl", "--mount", "team-b"]):
        assert main(["url", *arguments, *at_b]) == 0
        assert f"/{bucket.name}/acme-web/a.whl?" in capsys.readouterr().out
    assert main(["url", "/acme-web/a.whl", "--mount", "team-b", *at_b]) == 1
    assert "is outside the path of the mount team-b, /team-b" in capsys.readouterr().err
    assert main(["url", f"/acme-web/{FILE}", *at_b]) == 1
    assert "directory" in capsys.readouterr().err, "the top level has no URLs"


def test_tokens_are_revoked_where_the_gateway_looks(root: Path) -> None:
    """Mounts with one access control have one list."""
    (root / "key").write_text("a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=")
    (root / "config.yaml").write_text(KEY + TWO)
    assert main(["token", "revoke", "id-1", "--mount", "team-b"]) == 0
    assert ".gateway/revoked-tokens" in files(root, "main")
    (root / "config.yaml").write_text(KEY + TWO.replace("{dir: b}", "{dir: b}, access: {default_read: [everyone]}"))
    assert main(["token", "revoke", "id-2", "--mount", "team-b"]) == 0
    assert "id-2" in (root / "b" / ".gateway" / "revoked-tokens").read_text()
    assert "id-2" not in (root / "main" / ".gateway" / "revoked-tokens").read_text()


def test_a_token_is_signed_with_the_key_of_the_mount(root: Path, capsys: Captured) -> None:
    for name in ("key", "other"):
        (root / name).write_bytes(name.encode() * 20)
    own = "access: {tokens: {keys: ['file:other']}}"
    (root / "config.yaml").write_text(KEY + TWO.replace("{dir: b}", f"{{dir: b}}, {own}"))
    assert main(["token", "create", "--subject", "a", "--days", "1", "--mount", "team-b"]) == 0
    token = capsys.readouterr().out.strip()
    assert main(["token", "inspect", token, "--mount", "team-b"]) == 0
    assert main(["token", "inspect", token]) == 1


def explained(capsys: Captured, *arguments: str) -> list[str]:
    assert main(["access", "explain", "alice", *arguments]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith(("mount", "path", "read"))]


def test_access_is_explained_for_the_mount_and_for_each_member(root: Path, capsys: Captured) -> None:
    people = "access: {authenticators: ['tests.support.people:People']}\n"
    (root / "config.yaml").write_text(
        people + TWO.replace("{dir: b}", "{dir: b}, access: {default_read: ['user:bob']}")
    )
    at_main = ["mount     default", "read      allowed  access.default_read grants read to authenticated"]
    at_b = ["mount     team-b", "read      refused  nothing grants read to 'alice'"]
    assert explained(capsys, "acme") == at_main
    assert explained(capsys, "acme", "--mount", "team-b") == at_b
    assert explained(capsys, "/team-b/acme/") == [at_b[0], "path      '/team-b/acme/'", at_b[1]]
    first = "if it has the project first"
    each = [f"{at_main[0]}, {first}", at_main[1], f"{at_b[0]}, {first}", at_b[1]]
    assert explained(capsys, "acme", "--mount", "all") == each
    of_paths = explained(capsys, "/all/acme/")
    assert [line for line in of_paths if line.startswith("path")] == ["path      '/acme/'", "path      '/team-b/acme/'"]
    assert [line for line in of_paths if not line.startswith("path")] == each
    assert main(["access", "explain", "alice", "/acme/", "--mount", "all"]) == 2
    assert "is outside the path of the mount all, /all" in capsys.readouterr().err


def test_expectations_are_held_against_the_rules_of_the_mount(root: Path, capsys: Captured) -> None:
    people = "access: {authenticators: ['tests.support.people:People']}\n"
    (root / "config.yaml").write_text(
        people + TWO.replace("{dir: b}", "{dir: b}, access: {default_read: ['user:bob']}")
    )
    (root / "expected.yaml").write_text("- {who: authenticated, project: acme, may: [read]}\n")
    assert main(["access", "test", "expected.yaml"]) == 0
    assert main(["access", "test", "expected.yaml", "--mount", "team-b"]) == 1


async def test_the_start_tells_of_each_storage_that_can_t_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = "{bucket: gone, endpoint_url: 'http://127.0.0.1:1', region_name: us-east-1, max_attempts: 1, KEYS}"
    gone = gone.replace("KEYS", "aws_access_key_id: a, aws_secret_access_key: b")
    mounts = "".join(f"- {{name: {name}, path: /{name}, storage: {gone}}}\n" for name in ("b", "c"))
    (tmp_path / "config.yaml").write_text(f"storage: {{dir: {tmp_path}}}\nmounts:\n{mounts}")
    settings = load({"storage.dir": str(tmp_path), "server.port": "0"}, environ={}, cwd=tmp_path)
    gateway = Gateway(settings)
    await gateway.start()
    try:
        caplog.clear()
        await try_storages(gateway)
    finally:
        await gateway.stop()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [line.partition(" can't")[0] for line in sorted(said)] == [f"the storage of the mount {x}" for x in "bc"]
