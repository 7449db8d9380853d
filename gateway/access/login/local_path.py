"""Where a browser may be sent back to after its login: only to the gateway itself. Pure."""

import re

_MAX_CHARACTERS = 1024
# Browsers take `//host` and `/\host` for another host, and drop tabs and line breaks before they look.
_PATH = re.compile(r"(?:/(?![/\\])[!-.0-\[\]-~]*)+")


def local_path(text: str) -> str:
    """The path, with its query; `/` if it could lead anywhere else."""
    path = text.partition("?")[0]
    local = len(text) <= _MAX_CHARACTERS and _PATH.fullmatch(path) and text.isascii() and text.isprintable()
    return text if local and " " not in text and "\\" not in text else "/"
