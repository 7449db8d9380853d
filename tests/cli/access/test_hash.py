"""`gateway access hash`."""

import io

import pytest

from gateway.access.hashing.passwords import parse
from gateway.cli.main import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_of_input_is_hashed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("pässword \r\nmore\n"))
    assert main(["access", "hash"]) == 0
    text = capsys.readouterr().out.strip()
    assert text.startswith("$2b$12$")
    assert parse(text).verify("pässword ".encode())


@pytest.mark.parametrize(
    ("line", "said"), [("", "empty"), ("a" * 73, "72 bytes"), ("a\0b", "NUL"), ("hunter\udcff", "not UTF-8")]
)
def test_a_password_that_can_not_be_used(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    assert main(["access", "hash"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, said in printed.err, "hunter" in printed.err) == ("", True, False)


@pytest.mark.parametrize("again", ["secret", "Secret"])
def test_a_terminal_is_asked_twice(
    again: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["secret", again])
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda *_: next(answers))
    assert main(["access", "hash"]) == (again != "secret")
    assert ("differ" in capsys.readouterr().err) == (again != "secret")
