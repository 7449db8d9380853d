"""Text for a person's terminal, which obeys control characters: keys, pages and errors of a bucket may have some."""

import sys

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def shown(text: str) -> str:
    """With control characters as escapes."""
    return text.translate(_SHOWN)


def note(text: str) -> None:
    """Writes a line to standard error."""
    print(shown(text), file=sys.stderr)
