"""`gateway token`: what it prints, and what it changes."""

import io
import os
import re
import time
from pathlib import Path

import pytest

from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.token import Claims, issue, verify
from gateway.cli.main import main
from gateway.principal import Right, Scope
from tests.access.tokens.test_token import PEM, PUBLIC_PEM
from tests.support.bucket import Bucket

pytestmark = pytest.mark.usefixtures("logging_stays")

SECRET = "s" * 32
KEY = parse_key(SECRET)
OLD = Claims("alice", "id-1", Scope(frozenset({Right.READ}), ("acme-*",)), 1_000_000_000)
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    """The arguments of a gateway that serves a directory and has one key."""
    (tmp_path / "served").mkdir()
    return with_keys(tmp_path, SECRET)


def with_keys(tmp_path: Path, *texts: str) -> list[str]:
    names = []
    for number, text in enumerate(texts):
        (tmp_path / f"key-{number}").write_text(text)
        names.append(f"file:{tmp_path}/key-{number}")
    return ["--dir", str(tmp_path / "served"), "--set", f"access.tokens={{keys: {names}}}"]


def test_only_the_token_is_on_standard_output(keys: list[str], capsys: Captured) -> None:
    assert main(["token", "create", "--subject", "ci", "--days", "30", *keys]) == 0
    said = capsys.readouterr()
    claims = verify(said.out.removesuffix("\n"), [KEY], time.time())
    assert (claims.subject, claims.scope) == ("ci", Scope(frozenset({Right.READ, Right.FALLBACK})))
    assert 0 <= time.time() + 30 * 86400 - claims.expires < 60
    assert re.fullmatch(
        rf"id {claims.id}, valid until \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ, for 'ci': read, fallback; projects: all\n",
        said.err,
    )


def test_the_token_is_limited_to_what_is_given(keys: list[str], capsys: Captured) -> None:
    limits = ["--project", "Acme_*", "--project", "b", "--write", "--delete"]
    ids = set()
    for _ in range(2):
        assert main(["token", "create", "--subject", "ci", "--days", "1", *limits, *keys]) == 0
        claims = verify(capsys.readouterr().out.strip(), [KEY], time.time())
        assert claims.scope == Scope(frozenset({Right.WRITE, Right.DELETE}), ("acme-*", "b"))
        ids.add(claims.id)
    assert len(ids) == 2


def test_the_first_key_that_can_sign_does(tmp_path: Path, capsys: Captured) -> None:
    given = with_keys(tmp_path, PUBLIC_PEM, PEM, SECRET)
    assert main(["token", "create", "--subject", "ci", "--days", "1", *given]) == 0
    verify(capsys.readouterr().out.strip(), [parse_key(PUBLIC_PEM)], time.time())


def test_a_token_needs_a_key_that_signs(tmp_path: Path, capsys: Captured) -> None:
    for given, advice in [(with_keys(tmp_path, PUBLIC_PEM), "the private key"), ([], "openssl rand -base64 32")]:
        assert main(["token", "create", "--subject", "ci", "--days", "1", *given]) == 2
        said = capsys.readouterr()
        assert (said.out, advice in said.err) == ("", True)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--subject", "a:b"], "--subject must be a name"),
        (["--subject", "a", "--project", "a/b"], "--project 'a/b' must be a project's name"),
        (["--subject", "a", *["--project", "p" * 99] * 20], "too long: give it fewer projects"),
    ],
)
def test_what_no_token_can_have(given: list[str], why: str, keys: list[str], capsys: Captured) -> None:
    assert main(["token", "create", "--days", "1", *given, *keys]) == 1
    said = capsys.readouterr()
    assert (said.out, why in said.err) == ("", True)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "x", "1.5", "²"])
def test_days_are_a_number(days: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["token", "create", "--subject", "a", f"--days={days}"])
    assert "from 1 to 3650" in capsys.readouterr().err


def test_inspect_reads_standard_input(keys: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims("al\x1bice", "id-1", Scope(frozenset({Right.READ}), ("acme-*",)), 4_000_000_000)
    monkeypatch.setattr("sys.stdin", io.StringIO(issue(claims, KEY) + "\n"))
    assert main(["token", "inspect", *keys]) == 0
    assert capsys.readouterr().out.splitlines() == [
        r"subject    'al\x1bice'",
        "id         'id-1'",
        "rights     read",
        "projects   acme-*",
        "expires    2096-10-02T07:06:40Z",
        "signature  verified by a key of access.tokens",
    ]


def test_inspect_says_why_a_token_is_not_valid(keys: list[str], tmp_path: Path, capsys: Captured) -> None:
    assert main(["token", "inspect", issue(OLD, KEY), *keys]) == 1
    assert "expired    2001-09-09T01:46:40Z\nsignature  verified" in capsys.readouterr().out
    for key in (parse_key("o" * 32), parse_key(PEM)):
        assert main(["token", "inspect", issue(OLD, key), *keys]) == 1
        printed = capsys.readouterr().out
        assert "subject    'alice'" in printed
        assert "NOT verified: signed by a key that is not known" in printed
    assert main(["token", "inspect", issue(OLD, KEY), "--dir", str(tmp_path)]) == 1
    assert "NOT verified" in capsys.readouterr().out
    assert main(["token", "inspect", "gw_abcdefghijk", *keys]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "gateway token inspect: not a token, or not all of it\n")


def test_inspect_needs_no_bucket(keys: list[str], capsys: Captured) -> None:
    unreachable = ["--bucket", "nope", "--set", "storage.endpoint_url=http://127.0.0.1:1"]
    assert main(["token", "inspect", issue(OLD, KEY), *unreachable, *keys[2:]]) == 1
    assert "signature  verified" in capsys.readouterr().out


def test_revoked_tokens_are_on_the_list(
    bucket: Bucket, keys: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = [part for name, value in bucket.settings().items() for part in ("--set", f"{name}={value}")]
    given = [*storage, *keys[2:]]
    assert main(["token", "revoke", "b", issue(OLD, KEY), *given]) == 0
    assert capsys.readouterr().out == "b is revoked\nid-1 is revoked\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("a\nb\n"))
    assert main(["token", "revoke", *given]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("a is revoked\nb had been revoked before\n", "")
    stored = bucket.client.get_object(Bucket=bucket.name, Key=".gateway/revoked-tokens")
    assert stored["Body"].read() == b"a\nb\nid-1\n"


def test_what_is_no_id_is_not_revoked(keys: list[str], tmp_path: Path, capsys: Captured) -> None:
    other = issue(OLD, parse_key("o" * 32))
    for text, why in [
        (other, "a key that is not known; to revoke it all the same, give its id, 'id-1'"),
        (issue(OLD, KEY)[:-1], "number 2: not a token, or not all of it"),
        ("a b", "number 2 is no id"),
        ("", "number 2 is no id"),
        ("-", "- is no id; leave it out to have standard input read"),
    ]:
        assert main(["token", "revoke", "a", text, *keys]) == 1
        said = capsys.readouterr()
        assert (said.out, why in said.err, other in said.err) == ("", True, False)
    assert [*(tmp_path / "served").rglob("*")] == []


def test_the_list_can_be_read_by_a_gateway_that_is_another_user(keys: list[str], tmp_path: Path) -> None:
    """As after `sudo gateway token revoke`, with root's umask."""
    before = os.umask(0o077)
    try:
        assert main(["token", "revoke", "leaked", *keys]) == 0
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    written = tmp_path / "served" / ".gateway"
    assert [path.stat().st_mode & 0o777 for path in (written, written / "revoked-tokens")] == [0o755, 0o644]


def test_revoke_says_why_the_list_can_not_be_changed(keys: list[str], capsys: Captured) -> None:
    unreachable = ["--bucket", "nope", "--set", "storage.endpoint_url=http://127.0.0.1:1"]
    assert main(["token", "revoke", "a", *unreachable, *keys[2:]]) == 1
    said = capsys.readouterr()
    assert (said.out, "can't be changed: " in said.err) == ("", True)
