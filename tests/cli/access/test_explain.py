"""`gateway access explain`: what it says, and that it says what the gate does."""

from collections import Counter
from pathlib import Path

import pytest
from multidict import CIMultiDict

from gateway.access.build import build_gate
from gateway.access.familiar import FamiliarCredentials
from gateway.cli.access.question import People, parse_path, parse_who, verdicts
from gateway.cli.main import main
from gateway.config.load import load
from gateway.errors import GatewayError
from gateway.messages import RequestRecord
from gateway.principal import Right
from gateway.storage.stack import build_storage

Captured = pytest.CaptureFixture[str]
SECTION = """\
access:
  users: {alice: "$2b$12$x"}
  groups: {data: [alice], staff: [alice]}
  admins: [carol]
  rules:
  - {projects: ["acme-*"], read: [group:data, "token:t1"], write: [group:release], fallback: [everyone], only: true}
  - {paths: [/docs/], read: [everyone]}
"""
LDAP = '  ldap: {url: "ldaps://x", user_dn_format: "uid={username}"}\n'
FALLBACK = "fallback: {mode: redirect, disallow: ['Acme_*']}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, FALLBACK + SECTION)


def written(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text)
    return file


def said(capsys: Captured, config: Path, *arguments: str) -> list[str]:
    assert main(["access", "explain", *arguments, "--config", str(config)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


def test_it_tells_each_right_with_what_decides(config: Path, capsys: Captured) -> None:
    assert said(capsys, config, "alice", "Acme_Web") == [
        "user      'alice'",
        "groups    'data', 'staff' (in no rule)",
        "admin     no",
        "project   'acme-web' (given as Acme_Web)",
        "",
        "read      allowed  access.rules[1] grants read to group:data",
        "write     refused  access.rules[1] does not grant write to 'alice'",
        "delete    refused  access.rules[1] does not grant delete to 'alice'",
        "fallback  allowed  access.rules[1] grants fallback to everyone",
        "",
        "note: fallback.disallow names 'acme-web', which is never looked up there",
    ]


def test_the_name_of_a_project_is_shown_once_if_it_was_right(config: Path, capsys: Captured) -> None:
    assert "project   'acme-web'" in said(capsys, config, "alice", "acme-web")


def test_who_may_not_read_has_nothing_fetched(config: Path, capsys: Captured) -> None:
    answer = said(capsys, config, "everyone", "acme-web")
    assert answer[0] == "user      everyone: nobody has logged in"
    assert answer[-3] == "fallback  refused  access.rules[1] does not grant read to the anonymous"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["carol", "b"], ["admin     yes, by access.admins", "delete    allowed  'carol' is an admin"]),
        (
            ["group:data", "acme-x"],
            ["user      anybody in 'group:data'", "read      allowed  access.rules[1] grants read to group:data"],
        ),
        (
            ["token:t1", "acme-x"],
            [
                "read      allowed  access.rules[1] grants read to token:t1",
                "note: a token also has the rights of its user, within its limits: see gateway token inspect",
            ],
        ),
        (["token:t2", "acme-x"], ["note: this configuration does not name the token 't2'"]),
        (["authenticated", "b"], ["read      allowed  access.default_read grants read to authenticated"]),
        (["alise", "b"], ["user      'alise'", "note: this configuration does not name the user 'alise'"]),
        (
            ["user:everyone", "b"],
            ["user      'everyone'", "read      allowed  access.default_read grants read to authenticated"],
        ),
        (["repo:acme/x", "b"], ["user      'repo:acme/x'"]),
        (
            ["dave", "acme-x", "--group", "release"],
            ["groups    'release'", "write     allowed  access.rules[1] grants write to group:release"],
        ),
        (
            ["everyone", "/docs/a%20b"],
            ["path      '/docs/a%20b'", "read      allowed  access.rules[2] grants read to everyone"],
        ),
        (["alice", "/x/acme_y-1.0.tar.gz"], ["project   'x', 'acme-y'"]),
    ],
)
def test_it_answers_for_all_kinds(arguments: list[str], lines: list[str], config: Path, capsys: Captured) -> None:
    answer = said(capsys, config, *arguments)
    assert [line for line in lines if line not in answer] == []


@pytest.mark.parametrize(
    ("layout", "project", "told"),
    [
        ("project", "acme-web", ["access.rules[1] decides too about files of the project that are in /Acme_Web/:"]),
        ("project", "docs", []),
        ("project", "b", []),
        ("flat", "docs", ["access.rules[1] decides too about files of the project that are in /Acme_Web/:"]),
    ],
)
def test_rules_for_paths_where_files_of_the_project_may_be_are_told(
    tmp_path: Path, layout: str, project: str, told: list[str], capsys: Captured
) -> None:
    rules = "access:\n  default_read: [everyone]\n  rules: [{paths: [/Acme_Web/]}, {paths: [/docs/]}]\n"
    answer = said(capsys, written(tmp_path, f"index: {{layout: {layout}}}\n{rules}"), "everyone", project)
    found = [line for line in answer if line.startswith("note: access.rules")]
    assert len(found) == len(told)
    assert all(line.startswith(f"note: {expected}") for line, expected in zip(found, told, strict=True))


def test_the_list_of_projects_can_only_be_read(config: Path, capsys: Captured) -> None:
    answer = said(capsys, config, "alice", "/simple/")
    assert answer[4:] == [
        "list      all projects, of which each reader sees a part",
        "",
        "read      allowed  access.default_read grants read to authenticated",
    ]


def test_it_says_what_directories_may_tell(tmp_path: Path, capsys: Captured) -> None:
    config = written(tmp_path, SECTION + LDAP)
    told = (
        "note: access.ldap may tell more groups, or that a user is an admin. Nobody was asked: give such groups with "
        "--group"
    )
    assert told in said(capsys, config, "alice", "b")
    assert told not in said(capsys, config, "everyone", "b")
    assert "note: fallback.mode is none, so no files are fetched from another index" in said(
        capsys, config, "alice", "b"
    )


def test_users_of_htpasswd_are_known(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "users").write_text("dave:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    config = written(tmp_path, f"access: {{htpasswd: {tmp_path}/users}}\n")
    for name, known in [("dave", True), ("erin", False)]:
        answer = said(capsys, config, name, "b")
        assert (f"note: this configuration does not name the user '{name}'" in answer) is not known


def test_without_access_control_everybody_reads(tmp_path: Path, capsys: Captured) -> None:
    answer = said(capsys, written(tmp_path, "log: {level: info}\n"), "alice", "b")
    assert answer == ["read      allowed  there is no section access: everybody may read everything"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["", "b"], "USER '' must be the name of a user"),
        (["group:", "b"], "USER 'group:' must be everyone, authenticated, user:NAME"),
        (["a\x1b[2Jb", "b"], r"USER 'a\x1b[2Jb' must not have control characters"),
        (["alice", "acme-*"], "project 'acme-*' is no name that a project can have; a path starts with /"),
        (["alice", "a b"], "project 'a b' is no name"),
        (["alice", "/../x"], "path '/../x' is no path of a request: dot segment in path"),
        (["alice", "/.gateway/x"], "path '/.gateway/x' is reserved for the gateway"),
        (["everyone", "b", "--group", "x"], "--group: everyone is whoever has not logged in, and has no groups"),
        (["alice", "b", "--group", " x"], "--group: ' x' is no name of a group"),
    ],
)
def test_a_question_that_can_not_be_understood(arguments: list[str], why: str, config: Path, capsys: Captured) -> None:
    assert main(["access", "explain", *arguments, "--config", str(config)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"gateway access explain: {why}")


def test_paths_are_those_of_requests(tmp_path: Path, capsys: Captured) -> None:
    config = written(tmp_path, SECTION + "server: {base_path: /pypi}\nrewrite: {strip_prefix: /simple}\n")
    assert "project   'acme-web'" in said(capsys, config, "alice", "/pypi/simple/acme-web/")
    assert main(["access", "explain", "alice", "/acme-web/", "--config", str(config)]) == 2
    assert "is outside server.base_path, /pypi" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "projects"),
    [
        ("", "'x', 'acme-y'"),
        ("index: {layout: flat}\n", "'acme-y'"),
        ("storage: {prepend_hash: true}\n", "'acme-y'"),
        ("index: {layout: flat, mode: static}\n", "'x', 'acme-y'"),
    ],
)
def test_the_layout_tells_the_projects_of_a_file(more: str, projects: str, tmp_path: Path, capsys: Captured) -> None:
    config = written(tmp_path, SECTION + more)
    assert f"project   {projects}" in said(capsys, config, "alice", "/x/acme_y-1.0.tar.gz")


def test_anybody_is_somebody_whom_no_rule_names(tmp_path: Path, capsys: Captured) -> None:
    config = written(tmp_path, SECTION + "  default_write: ['user:somebody', \"user:somebody'\"]\n")
    answer = said(capsys, config, "authenticated", "b")
    assert "write     refused  nothing grants write to \"somebody''\"" in answer


@pytest.mark.parametrize("more", ["", "index: {layout: flat}\n", "index: {mode: static}\n", "index: {mode: 'off'}\n"])
async def test_the_gate_decides_the_same(tmp_path: Path, more: str) -> None:
    section = SECTION.replace("$2b$12$x", "$2b$12$" + "x" * 53) + "  default_read: [group:data]\n"
    settings = load(config_file=written(tmp_path, section + more), environ={})
    assert settings.access is not None
    people = People(settings.access)
    gate = build_gate(settings.access, build_storage(settings), lambda: None, Counter(), FamiliarCredentials())
    for path in ["/", "/acme-web/", "/docs/a", "/docs/acme_web-1.0.tar.gz", "/other/other-1.0.tar.gz", "/x"]:
        resource = parse_path(settings, path)
        ours = dict(verdicts(people.policy, people.principal(parse_who("everyone")), resource))
        record = RequestRecord("1", "GET", path, "192.0.2.1", "", 0.0)
        try:
            await gate.admit(record, CIMultiDict(), resource, trusted=False)
        except GatewayError:
            assert not ours[Right.READ].allowed
        else:
            assert ours[Right.READ].allowed
            if Right.FALLBACK in ours:
                assert ours[Right.FALLBACK].allowed is record.admission.fallback
        assert record.admission.why == ours[Right.READ].why
