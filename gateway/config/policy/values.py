"""The types of the section `policy`."""

import re
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator

from gateway.config.types import Refused

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|m|h|d|w)?")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MOST_CHARACTERS = 500
_WORDS = ("none", "invalid", "lost", "changed")
_REPOSITORIES, _OTHERS = ("github", "gitlab"), ("google", "circleci")
_LONGEST = 100 * 365 * 86400


def _span(value: Any) -> float:
    """Seconds, as a number or as `90s`, `30m`, `12h`, `7d`, `2w`."""
    found = _SPAN.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif found is not None:
        seconds = float(found[1]) * _UNITS[found[2]]
    else:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise Refused("must be a time span like 7d, 12h or 30m, or a number of seconds")
    return seconds


def moment(value: Any) -> float:
    """Seconds since the epoch of a date, at its beginning in UTC, or of a date with a time. Raises Refused."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, datetime):
            return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise Refused("must be a date like 2027-01-01, or one with a time, like 2027-01-01T12:00Z")


def _specifier(value: Any) -> SpecifierSet:
    try:
        return SpecifierSet(str(value).strip())
    except InvalidSpecifier:
        raise Refused("must be versions like >=2,<3 or ==1.4.2") from None


def _version(value: Any) -> Version:
    if isinstance(value, str):
        try:
            return Version(value)
        except InvalidVersion:
            pass
    raise Refused("must be a version of Python as text, like '3.12'")


def line(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _MOST_CHARACTERS:
        raise Refused(f"must be a line of text, of {_MOST_CHARACTERS} characters at most")
    return text.strip()


def _provenance(text: str) -> str:
    """See gateway/policy/provenance.py. A pattern that fits no word, or `none` too, is a mistake that lets files in."""
    where, _, name = text.lower().partition(":")
    service = where.partition("@")[0]
    fitting = [known for known in (*_REPOSITORIES, *_OTHERS) if name and fnmatchcase(known, service)]
    may_fit = "/" in name or "*" in name or not set(_REPOSITORIES).issuperset(fitting)
    if " " in text or (text.lower() not in _WORDS and not (fitting and may_fit)):
        raise Refused("must be none, invalid, lost, changed, or a publisher like github:acme/web or gitlab:acme/*")
    return text


def date_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


Provenance = Annotated[str, AfterValidator(_provenance)]
Line = Annotated[str, AfterValidator(line)]
Span = Annotated[float, BeforeValidator(_span)]
Moment = Annotated[float, PlainValidator(moment), PlainSerializer(date_text)]
Versions = Annotated[SpecifierSet, PlainValidator(_specifier), PlainSerializer(str)]
PythonVersion = Annotated[Version, PlainValidator(_version), PlainSerializer(str)]
