"""`gateway access test`: which expectations hold, and what is wrong with a file of them."""

from pathlib import Path

import pytest

from gateway.cli.main import main

Captured = pytest.CaptureFixture[str]
SECTION = """\
access:
  users: {alice: "$2b$12$x", "no": "$2b$12$x"}
  groups: {data: [alice]}
  admins: [carol]
  ldap: {url: "ldaps://x", user_dn_format: "uid={username}"}
  rules:
  - {projects: ["acme-*"], read: [group:data, "token:t1"], write: [group:release], only: true}
  - {paths: [/docs/], read: [everyone]}
"""
HOLD = """\
- {who: alice, project: Acme_Web, may: [read, fallback], may_not: [write, delete]}
- who: authenticated
  groups: [release]
  project: acme-web
  may: write
  may_not: read
- {who: group:data, project: acme-web, may: [read]}
- {who: token:t1, project: acme-web, may: [read]}
- {who: carol, project: acme-web, may: [read, write, delete, fallback]}
- {who: everyone, path: /docs/x, may: [read]}
- {who: everyone, path: /, may_not: [read]}
- {who: no, project: other, may: [read]}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "config.yaml").write_text(SECTION)
    return f"--config={tmp_path}/config.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rights.yaml"


def test_all_hold(file: Path, config: str, capsys: Captured) -> None:
    file.write_text("\ufeff" + HOLD)
    assert main(["access", "test", str(file), config]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("ok    expectations: 15, all hold\n", "")


def test_what_does_not_hold_is_told_with_the_rule_that_decides(file: Path, config: str, capsys: Captured) -> None:
    file.write_text(
        "- {who: alice, project: acme-web, may: [read, delete]}\n\n"
        "- {who: authenticated, groups: [release, data], project: acme-web, may_not: [write]}\n"
        "- {who: everyone, path: /docs/, may_not: [read]}\n"
    )
    assert main(["access", "test", str(file), config]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"FAIL  {file}:1: alice may not delete acme-web, but was expected to: access.rules[1] does not grant delete to "
        "'alice'",
        f"FAIL  {file}:3: authenticated in release, data may write acme-web, but was expected not to: access.rules[1] "
        "grants write to group:release",
        f"FAIL  {file}:4: everyone may read /docs/, but was expected not to: access.rules[2] grants read to everyone",
        "FAIL  3 of 4 expectations",
    ]


@pytest.mark.parametrize("text", HOLD.replace("[release]", "release").splitlines()[:1] + HOLD.splitlines()[6:])
def test_each_expectation_can_fail(text: str, file: Path, config: str, capsys: Captured) -> None:
    file.write_text(text.replace("may_not", "x").replace("may:", "may_not:").replace("x:", "may:"))
    assert main(["access", "test", str(file), config]) == 1
    failed = len(capsys.readouterr().out.splitlines()) - 1
    file.write_text(text)
    assert main(["access", "test", str(file), config]) == 0
    assert capsys.readouterr().out == f"ok    expectations: {failed}, all hold\n"


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", [": is empty, and so tests nothing"]),
        ("# nothing\n", [": is empty"]),
        ("[]\n", [": is empty"]),
        ("{who: alice}\n", [": must be a list"]),
        ("- [\n", [":2: is not valid YAML: "]),
        ("- \x00\n", [": is not valid YAML: "]),
        ("- a\n---\n- b\n", [":2: is not valid YAML: "]),
        ("[" * 5000, [": is nested too deeply"]),
        (
            "- x\n- {}\n- {who: alice}\n- {who: alice, project: a, path: /a}\n",
            [
                ":1: entry 1: must be a mapping",
                ":2: entry 2: needs who",
                ":3: entry 3: needs either a project or a path",
                ":4: entry 4: needs either a project or a path",
            ],
        ),
        (
            "- who: alice\n  project: a\n  maynot: [read]\n",
            [":3: entry 1: 'maynot' is not known; did you mean"],
        ),
        ("- who: alice\n  [x]: a\n", [":2: entry 1: '?' is not known; there are who, groups, project, path"]),
        ("- {who: alice, who: bob}\n", [":1: entry 1: who is given twice"]),
        ("- {who: alice, project: a}\n", [":1: entry 1: expects nothing"]),
        ("- {who: alice, project: a, may: []}\n", [":1: entry 1: expects nothing"]),
        ("- {who: alice, project: a, may: [reed]}\n", [":1: entry 1: 'reed' is no right; there are read, write"]),
        ("- {who: alice, project: a, may: [[read]]}\n", [":1: entry 1: must be a list of texts"]),
        ("- {who: alice, project: a, may: {read: x}}\n", [":1: entry 1: must be a list of texts"]),
        ("- {who: alice, project: a, may: read, may_not: read}\n", [":1: entry 1: read is there twice"]),
        ("- {who: [alice], project: a, may: read}\n", [":1: entry 1: who must be one text"]),
        (
            "- {who: alise, project: a, may_not: read}\n",
            [":1: entry 1: the configuration names no user 'alise'; for users whom only a directory knows, write auth"],
        ),
        ("- {who: 'group:x', project: a, may: read}\n", [":1: entry 1: the configuration names no group 'x'\n"]),
        ("- {who: 'token:x', project: a, may: read}\n", [":1: entry 1: the configuration names no token 'x'\n"]),
        ("- {who: 'group:', project: a, may: read}\n", [":1: entry 1: who 'group:' must be everyone, authenticated"]),
        (
            "- who: alice\n  groups: [data, x]\n  project: a\n  may: read\n",
            [":2: entry 1: the configuration names no group 'x'"],
        ),
        (
            "- who: everyone\n  groups: [data]\n  project: a\n  may: read\n",
            [":2: entry 1: groups: everyone is whoever has not logged in"],
        ),
        (
            "- {who: alice, project: a/b, may: read}\n",
            [":1: entry 1: project 'a/b' is no name that a project"],
        ),
        ("- {who: alice, path: a, may: read}\n", [":1: entry 1: path 'a' is no path of a request"]),
        ("- {who: alice, path: /, may: write}\n", [":1: entry 1: write makes no sense for the list of all projects"]),
    ],
)
def test_mistakes_are_told_with_their_place(
    text: str, mistakes: list[str], file: Path, config: str, capsys: Captured
) -> None:
    file.write_text(text)
    assert main(["access", "test", str(file), config]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines(keepends=True)
    assert len(lines) == len(mistakes)
    for line, mistake in zip(lines, mistakes, strict=True):
        assert line.startswith(f"gateway access test: {file}{mistake}")


def test_a_file_that_can_not_be_read(file: Path, config: str, capsys: Captured) -> None:
    assert main(["access", "test", str(file), config]) == 2
    assert capsys.readouterr().err == f"gateway access test: {file}: can't be read: No such file or directory\n"
    file.write_bytes(b"- {who: \xff}\n")
    assert main(["access", "test", str(file), config]) == 2
    assert capsys.readouterr().err == f"gateway access test: {file}: is not UTF-8 text\n"


def test_without_rules_there_is_nothing_to_test(file: Path, tmp_path: Path, capsys: Captured) -> None:
    file.write_text(HOLD)
    (tmp_path / "config.yaml").write_text("log: {level: info}\n")
    assert main(["access", "test", str(file), f"--config={tmp_path}/config.yaml"]) == 2
    assert "access (not set): there is nothing to test" in capsys.readouterr().err
