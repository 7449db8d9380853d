"""What a terminal gets of text that others made."""

import pytest

from gateway.cli.terminal import note, shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a\tb\nü", "a\tb\nü"), ("\x1b[2J", "\\x1b[2J"), ("\r\x00\x7f", "\\x0d\\x00\\x7f"), ("\x9b2J", "\\x9b2J")],
)
def test_control_characters_are_shown_and_not_obeyed(text: str, seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(text) == seen
    note(text)
    assert capsys.readouterr().err == f"{seen}\n"
