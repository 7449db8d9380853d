"""Names and values in the texts of LDAP: filters (RFC 4515) and distinguished names (RFC 4514). Pure."""

import re
from typing import TypeAlias

# A name as `parse_dn` takes it apart: the RDNs, each with its attributes' types and values, in lower case.
Rdns: TypeAlias = tuple[frozenset[tuple[str, str]], ...]

_COMPARED_WITH_USERNAME = re.compile(r"([A-Za-z][\w.-]*)=\{username\}")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_ESCAPE = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)


def _escape(text: str) -> str:
    """Both RFCs allow any octet as a backslash and two hexadecimal digits."""
    return "".join(char if char in _PLAIN else "".join(f"\\{octet:02x}" for octet in char.encode()) for char in text)


def fill_filter(template: str, **values: str) -> str:
    """The filter with `{name}` replaced by the value of that name; whatever is in it compares as text."""
    return _fill(template, values)


def fill_dn(template: str, username: str) -> str:
    """The distinguished name with `{username}` replaced by a value of one attribute, whatever is in it."""
    return _fill(template, {"username": username})


def _fill(template: str, values: dict[str, str]) -> str:
    pattern = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(pattern, lambda found: _escape(values[found[0][1:-1]]), template)


def username_field(template: str) -> str:
    """The attribute that the template compares `{username}` with first; empty if there is none."""
    found = _COMPARED_WITH_USERNAME.search(template)
    return found[1] if found else ""


def first_value(dn: str) -> str:
    """The value of the first attribute in the name: "data team" for cn=data team,ou=groups."""
    return _unescape(_split(_split(dn, ",")[0], "+")[0].partition("=")[2]).strip()


def parse_dn(dn: str) -> Rdns:
    """The name in a form that is the same for all spellings of most names."""
    return tuple(frozenset(_attribute(part) for part in _split(rdn, "+")) for rdn in _split(dn, ",")) if dn else ()


def is_below(dn: str, base: str) -> bool:
    """Whether the name is `base`, or ends in it. All names end in the empty one."""
    name, end = parse_dn(dn), parse_dn(base)
    return len(end) <= len(name) and name[len(name) - len(end) :] == end


def _attribute(text: str) -> tuple[str, str]:
    kind, _, value = text.partition("=")
    return kind.strip().lower(), _unescape(value.strip()).lower()


def _split(text: str, separator: str) -> list[str]:
    """Splits at separators that no backslash stands before."""
    parts = [""]
    for piece in re.findall(r"\\.|.", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _unescape(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        return bytes.fromhex(found[1].replace("\\", "")).decode("utf-8", "replace") if found[1] else found[2]

    return _ESCAPE.sub(plain, text)
