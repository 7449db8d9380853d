import socket
from pathlib import Path

import pytest

from gateway.cli.check.run import run
from gateway.cli.demo.seaweed import Seaweed
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.storage.s3.endpoint import resolve
from tests.support import faults
from tests.support.advisories import GHSA, MAL, archive
from tests.support.bucket import Bucket
from tests.support.certificates import self_signed
from tests.support.faults import FaultyBucket, error, on


async def check(settings: dict[str, str], *, writing: bool = False) -> tuple[int, str]:
    lines: list[str] = []
    code = await run(load({"server.port": "0"} | settings, environ={}, cwd=Path("/")), lines.append, writing=writing)
    return code, "\n".join(lines)


async def test_a_bucket_that_works(bucket: Bucket) -> None:
    bucket.put("arrow/index.html", b"page")
    code, text = await check(bucket.settings())
    assert code == 0
    key = bucket.server.access_key
    listening, *lines = text.splitlines()
    assert listening.startswith("ok    listening    http://127.0.0.1:")
    assert lines == [
        f"ok    storage      S3 bucket {bucket.name} at {bucket.server.endpoint_url}/{bucket.name}",
        f"ok    credentials  {key[:4]}…{key[-4:]} from settings",
        "ok    bucket       answers in region us-east-1",
        "ok    listing      first key: 'arrow/index.html', 4 bytes",
        "ok    reading      got its first bytes",
        "ok    index        1 project, 0 files; layout: project",
        "ok    all is well",
    ]
    assert key not in text
    assert bucket.server.secret_key not in text


async def test_an_empty_bucket_is_fine_but_said(bucket: Bucket) -> None:
    code, text = await check(bucket.settings())
    assert code == 0
    assert "no object yet" in text


@pytest.mark.parametrize(
    ("change", "cause", "advice"),
    [
        ({"storage.bucket": "no-such-bucket"}, "NoSuchBucket", "check storage.bucket"),
        ({"storage.aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch", "copy both again"),
        ({"storage.aws_access_key_id": "AKIDUNKNOWN"}, "InvalidAccessKeyId", "does it belong to this account"),
        ({"storage.endpoint_url": "http://127.0.0.1:1"}, "can't connect", "check storage.endpoint_url"),
        ({"storage.bucket": "127.0.0.1"}, "no S3 endpoint fits|NoSuchBucket|InvalidBucketName", ""),
    ],
)
async def test_what_is_wrong_is_said_with_what_to_do(
    bucket: Bucket, change: dict[str, str], cause: str, advice: str
) -> None:
    import re

    code, text = await check(bucket.settings() | change | {"storage.max_attempts": "1"})
    assert code == 1
    assert re.search(cause, text)
    assert advice in text
    assert bucket.server.secret_key not in text


async def test_tls_to_a_plain_port_is_explained(seaweed: Seaweed, bucket: Bucket) -> None:
    url = seaweed.endpoint_url.replace("http:", "https:")
    code, text = await check(bucket.settings() | {"storage.endpoint_url": url, "storage.max_attempts": "1"})
    assert code == 1
    assert "does not speak TLS" in text
    assert "should storage.endpoint_url start with http://" in text


async def test_a_learnt_region_is_worth_a_setting(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.objects["k"] = b"x"
    faulty.then(faults.wrong_region("eu-west-1"))
    code, text = await check(faulty_settings)
    assert code == 0
    assert "set storage.region_name to eu-west-1" in text


async def test_missing_permissions_are_told(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.then(error(403, "AccessDenied"), times=2)
    code, text = await check(faulty_settings)
    assert code == 0
    assert "no permission to list the bucket (s3:ListBucket)" in text
    assert "not tried" in text
    faulty.objects["k"] = b"x"
    faulty.then(faults.healthy, faults.healthy, error(403, "AccessDenied"))
    code, text = await check(faulty_settings)
    assert code == 1
    assert "s3:GetObject" in text


async def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("x")
    code, text = await check({"storage.dir": str(tmp_path)})
    assert (code, text.splitlines()[2]) == (0, "ok    listing      first key: 'k', 1 bytes")
    code, text = await check({"storage.dir": str(tmp_path / "typo")})
    assert code == 1
    assert "create it, or set storage.dir" in text


@pytest.mark.parametrize(
    ("files", "layout", "line"),
    [
        (["arrow-1.0.tar.gz", "b-1.0.zip", "b-2.0.zip"], "auto", "2 projects, 3 files; layout: flat"),
        (["arrow/arrow-1.0.tar.gz", "Arrow/README.md"], "auto", "1 project, 1 file; layout: project"),
        (["x/y/arrow-1.0.tar.gz"], "flat", "1 project, 1 file; layout: flat"),
        (["arrow-1.0.tar.gz", "b/b-1.0.zip"], "project", "1 project, 1 file; layout: project"),
    ],
)
async def test_projects_and_files_are_counted(tmp_path: Path, files: list[str], layout: str, line: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    code, text = await check({"storage.dir": str(tmp_path), "index.layout": layout})
    assert code == 0
    assert f"ok    index        {line}" in text.splitlines()
    assert ("1 package files that are not in a project's folder" in text) == (layout == "project")


async def test_a_long_bucket_is_not_counted_to_its_end(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.objects = {f"arrow-{number}.tar.gz": b"x" for number in range(12_000)}
    code, text = await check(faulty_settings)
    assert code == 0
    assert "ok    index        at least 1 project, 10,000 files (among the first 10,000 objects); layout: flat" in text
    assert len(faulty.requests) < 20


async def test_it_fails_where_serve_would(tmp_path: Path) -> None:
    directory = {"storage.dir": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, text = await check(directory | {"server.port": str(taken.getsockname()[1])})
        assert (code, "FAIL  can't listen" in text, "all is well" in text) == (1, True, False)
        assert "Choose another server.port" in text
        code, text = await check(directory | {"ops.port": str(taken.getsockname()[1])})
        assert (code, "FAIL  can't listen" in text) == (1, True)
    code, text = await check(directory | {"server.host": "192.0.2.1"})
    assert (code, "This machine has no such address" in text) == (1, True)
    (tmp_path / "other").mkdir()
    certificate, (_, other_key) = self_signed(tmp_path)[0], self_signed(tmp_path / "other")
    with pytest.raises(ConfigError, match="no usable certificate and key"):
        await check(directory | {"server.tls_cert": str(certificate), "server.tls_key": str(other_key)})


async def test_a_unix_socket_that_it_tries_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    code, text = await check({"storage.dir": str(tmp_path), "server.unix_socket": str(path)})
    assert (code, f"ok    listening    unix:{path}" in text) == (0, True)
    assert not path.exists()


@pytest.mark.parametrize("status", [200, 404, 400])
async def test_an_endpoint_that_is_no_s3_is_explained(
    faulty: FaultyBucket, faulty_settings: dict[str, str], status: int
) -> None:
    async def console(answer: faults.Answer) -> None:
        await answer.send(status, [("Content-Type", "text/html")], b"<!DOCTYPE html><title>Console</title>")

    faulty.then(console, times=20)
    code, text = await check(faulty_settings)
    assert (code, "The server there is not an S3 server: check storage.endpoint_url" in text) == (1, True), text


def test_a_profile_that_is_missing_is_named() -> None:
    settings = load({"storage.bucket": "packages", "storage.profile_name": "no-such"}, environ={}, cwd=Path("/"))
    with pytest.raises(ConfigError) as refused:
        resolve(settings.storage)
    [problem] = refused.value.problems
    assert (problem.key, "has no profile 'no-such'" in problem.message) == ("storage.profile_name", True)


async def test_who_tells_users_is_said(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "users").write_text("alice:$2b$04$AKPZ4t5jB6RlrLHbzGhJhOXnPuNfsIG0tTRBkMSPjNTdnlpfAWT3u\n")
    rules = {"access.rules": "[{paths: /pkg/docs, read: everyone}]", "access.htpasswd": str(tmp_path / "users")}
    settings = load({"server.port": "0", "server.base_path": "/pkg"} | rules, environ={}, cwd=tmp_path)
    lines: list[str] = []
    await run(settings, lines.append)
    assert "ok    access       rules: 1; who somebody is tell: htpasswd" in lines
    assert any(line.startswith("      access.rules[1] names the path /pkg/docs/, which begins with") for line in lines)
    (tmp_path / "users").unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        await run(settings, lines.append)


async def test_a_directory_that_can_t_be_asked_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    access = {"storage.dir": str(tmp_path / "packages"), "access.remote": "{url: 'http://127.0.0.1:1'}"}
    access |= {"access.authenticators": "tests.support.people:People"}
    lines: list[str] = []
    assert await run(load({"server.port": "0"} | access, environ={}, cwd=tmp_path), lines.append) == 1
    text = "\n".join(lines)
    assert "FAIL  access       rules: 0; who somebody is tell: remote, people" in text
    assert "      remote can't check credentials: " in text
    assert "people can't" not in text
    assert "ok    storage" in text, "the rest is checked all the same"
    assert "all is well" not in text


async def test_what_takes_any_password_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    access = {"storage.dir": str(tmp_path / "packages"), "access.authenticators": "tests.support.people:Everybody"}
    lines: list[str] = []
    assert await run(load({"server.port": "0"} | access, environ={}, cwd=tmp_path), lines.append) == 1
    assert "      people lets in whoever asks: it has let in a user with a random password" in lines


async def test_what_heeds_conditions_is_told_step_by_step(tmp_path: Path) -> None:
    code, text = await check({"storage.dir": str(tmp_path)}, writing=True)
    assert code == 0
    assert text.splitlines()[-5:] == [
        "ok    writing      a key twice: 1 written, 1 refused",
        "ok    writing      8 at once: 1 written, 7 refused",
        "ok    in parts     a key twice: 1 written, 1 refused",
        "ok    in parts     4 at once: 1 written, 3 refused",
        "ok    all is well",
    ]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("unsafe", "word", "end"), [("false", "FAIL", 1), ("true", "note", 0)])
async def test_a_bucket_that_ignores_conditions_is_told_with_what_to_do(
    faulty: FaultyBucket, faulty_settings: dict[str, str], unsafe: str, word: str, end: int
) -> None:
    faulty.heeds_conditions = False
    faulty.objects["k"] = b"x"
    code, text = await check(faulty_settings | {"publish.unsafe": unsafe}, writing=True)
    assert code == end
    assert f"{word:<6}writing      a key twice: 2 written, 0 refused\n      The server ignores If-None-Match" in text
    assert f"{word:<6}in parts     a key twice: 2 written, 0 refused" in text
    assert ("all is well" in text) == (end == 0)
    assert faulty.objects == {"k": b"x"}


async def test_writing_is_for_who_asks_for_it(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.objects["k"] = b"x"
    uploads = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
    code, text = await check(faulty_settings | uploads)
    assert code == 0
    assert "gateway check --write tries whether" in text
    assert {request.method for request in faulty.requests} == {"GET"}
    faulty.then(on("PUT", error(403, "AccessDenied")))
    code, text = await check(faulty_settings | uploads, writing=True)
    assert code == 1
    assert "writing is not permitted (s3:PutObject" in text


MOUNTS = """
storage: {dir: DIR/main}
access:
  authenticators: ['tests.support.people:People']
  rules: [{paths: [/team-b/docs], read: everyone}]
mounts:
- {name: gone, host: gone.example.org, storage: {dir: DIR/gone}}
- {name: team-b, path: /team-b, storage: {dir: DIR/b}}
- {name: own, path: /own, storage: {dir: DIR/b}, access: {htpasswd: DIR/users}}
- {name: all, path: /all, members: [default, team-b]}
"""
PEOPLE = "rules: 1; who somebody is tell: people"
HINT = "      access.rules[1] names the path /team-b/docs/, which begins with the path of the mount team-b: it does not"


async def check_mounts(tmp_path: Path, mount: str | None = None) -> tuple[int, list[str]]:
    for name in ("main", "b"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "config.yaml").write_text(MOUNTS.replace("DIR", str(tmp_path)))
    lines: list[str] = []
    code = await run(load({"server.port": "0"}, environ={}, cwd=tmp_path), lines.append, mount=mount)
    return code, [line.partition(" hold for")[0] for line in lines]


def of_mount(tmp_path: Path, title: str, directory: str, *access: str) -> list[str]:
    place = f"ok    storage      directory {tmp_path}/{directory}"
    return ["", f"mount {title}", *access, place, "ok    listing      no object yet: upload one"]


async def test_each_mount_is_checked_though_one_fails(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    code, lines = await check_mounts(tmp_path)
    gone = lines.index("mount gone at gone.example.org/")
    assert (code, lines[gone + 2].startswith(f"FAIL  directory {tmp_path}/gone can't be opened")) == (1, True)
    assert [*lines[1 : gone - 1], *lines[gone + 4 :]] == [
        *of_mount(tmp_path, "default at /", "main", f"ok    access       {PEOPLE}", HINT),
        *of_mount(tmp_path, "team-b at /team-b/", "b"),
        *of_mount(tmp_path, "own at /own/", "b", "ok    access       rules: 1; who somebody is tell: htpasswd, people"),
        "",
        "mount all at /all/: default, team-b",
        "",
        "FAIL  mounts       gone",
    ]


@pytest.mark.parametrize(("name", "checked"), [("team-b", ["team-b"]), ("all", ["all", "default", "team-b"])])
async def test_one_mount_is_checked_with_its_members(tmp_path: Path, name: str, checked: list[str]) -> None:
    (tmp_path / "users").write_text("")
    code, lines = await check_mounts(tmp_path, name)
    assert (code, [line.split()[1] for line in lines if line.startswith("mount ")]) == (0, checked)
    assert f"ok    access       {PEOPLE}" in lines, "of the top level, whose access control it has"
    assert lines[-1] == "ok    all is well"
    with pytest.raises(ConfigError, match="there is no mount 'x'"):
        await check_mounts(tmp_path, "x")


async def test_what_can_t_be_used_at_one_mount_is_told_after_the_others(tmp_path: Path) -> None:
    """The file of passwords is read when the mount starts."""
    (tmp_path / "users").write_text("")
    lines: list[str] = []
    await check_mounts(tmp_path)
    settings = load({"server.port": "0"}, environ={}, cwd=tmp_path)
    (tmp_path / "users").unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        await run(settings, lines.append)
    assert "mount all at /all/: default, team-b" in lines
    assert lines[-1] == "FAIL  mounts       gone, own"


async def test_advisories_are_read(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("x")
    file = tmp_path / "all.zip"
    settings = {"storage.dir": str(tmp_path), "fallback.mode": "mirror", "policy.advisories": f"source: {file}"}
    file.write_bytes(archive(MAL, GHSA, {"id": ""}))
    code, text = await check(settings)
    assert code == 0
    assert f"ok    advisories   2 about 2 projects in {file}\n      1 more can't be read, and are left out." in text
    file.write_bytes(b"no archive")
    code, text = await check(settings)
    assert code == 1
    assert f"FAIL  advisories   {file}: it is no zip archive, or is cut short" in text
