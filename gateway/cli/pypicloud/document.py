"""Settings as a configuration file of the gateway in YAML."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*", re.ASCII)
_WORDS_OF_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_HIDDEN = "(hidden)"
_BASIC_PLANE = 0xFFFF


class Secret(str):
    """A text that is not for a terminal."""

    __slots__ = ()


class Commented(str):
    """A text with a remark for whoever reads the file."""

    comment: str

    def __new__(cls, text: str, comment: str) -> "Commented":
        made = super().__new__(cls, text)
        made.comment = comment
        return made


Document = Mapping[str, Mapping[str, Any]]


def yaml_text(document: Document, head: str, *, hide: bool = False) -> str:
    """`head` is a comment in one line. With `hide`, secrets are replaced: the text is not for use then."""
    lines = [f"# {head}"]
    for section, settings in document.items():
        lines.append(f"{section}:")
        for name, value in settings.items():
            lines += _entry(name, value, 2, hide)
    return "\n".join(lines)


def _entry(name: str, value: Any, indent: int, hide: bool) -> Iterator[str]:
    margin, key = " " * indent, _scalar(name)
    if isinstance(value, dict) and value:
        yield f"{margin}{key}:"
        for inner, its_value in value.items():
            yield from _entry(inner, its_value, indent + 2, hide)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        yield f"{margin}{key}:"
        for item in value:
            yield f"{margin}- {_flow(item, hide)}"
    else:
        comment = f"  # {value.comment}" if isinstance(value, Commented) else ""
        yield f"{margin}{key}: {_flow(value, hide)}{comment}"


def _flow(value: Any, hide: bool) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(part, hide)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(part, hide) for part in value) + "]"
    if isinstance(value, bool | int):
        return str(value).lower()
    return _scalar(_HIDDEN if hide and isinstance(value, Secret) else str(value))


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    """As YAML writes it between double quotes (YAML 1.1, 5.6), in ASCII: standard output may take no more."""
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= _BASIC_PLANE else f"\\U{ord(character):08x}"
