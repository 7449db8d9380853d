"""The words for mistakes in a configuration. No value is quoted: it may be a secret in the wrong place. Pure."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import yaml

from gateway.config.types import Refused

# The part of an unknown name that is shown, if it looks like a setting's name. Other text may be a misplaced secret.
_NAME = re.compile(r"[A-Za-z_-]{1,32}(?![\w-])")


def fault(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the piece of the file that PyYAML quotes, which may be a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return re.sub(r""" ('[^'<][^']+'|"[^"]*")""", "", error.problem or "") + where


def reasons(value: Any, errors: Sequence[Any]) -> list[str]:
    """What is wrong with a setting: in a list or a mapping each mistake with its place, else what none of the possible
    types takes."""
    if isinstance(value, list | dict):
        return ["".join(f"{_part(part)}: " for part in error["loc"][1:]) + _reason(error) for error in errors]
    error = errors[-1]
    return ["".join(f"{_part(part)}: " for part in error["loc"][1:] if isinstance(part, int)) + _reason(error)]


def _reason(error: Any) -> str:
    """What is wrong with a value, without quoting it: it may be a password by mistake, or an address that has one."""
    if error["type"] != "value_error":
        return str(error["msg"])
    cause = error["ctx"]["error"]
    return str(cause) if isinstance(cause, Refused) else "can't be understood"


def _part(place: str | int) -> str:
    """One step of the way to a mistake within a value."""
    if isinstance(place, int):
        return f"number {place + 1}"
    return place if _NAME.fullmatch(place) else "…"


def shown(name: str) -> str:
    """A name of a section, or of a setting in one."""
    parts = []
    for part in name.split(".", 1):
        found = _NAME.match(part)
        parts.append(found[0] + "…" * (found[0] != part) if found else "…")
    return ".".join(parts)


def unknown(name: str, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (
        f"is not a setting; did you mean {prefix}{near[0]}?"
        if near
        else f"is not a setting; there are {', '.join(known)}"
    )
