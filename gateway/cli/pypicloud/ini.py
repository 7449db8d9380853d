"""Reads pypicloud's .ini file as PasteDeploy does: keys keep their case, and `%(here)s` is the file's directory."""

import configparser
import re
from pathlib import Path

from gateway.cli.pypicloud.source import PasteSettings, Source, SourceError, group_subject, shown
from gateway.rights.subjects import Subject

_MARKS = ("pypi.", "auth.", "user.", "group.", "package.", "storage.")
_MAIN = "app:main"
# Of several ways to divide a key, that with the shortest package: pypicloud asks for names without dots.
_ENTRY = re.compile(r"package\.(.+?)\.(user|group)\.(.*)", re.DOTALL)
# What `use` may name without settings of its own.
_OWN = ("egg:", "call:", "package:")


def read_ini(text: str, path: Path) -> Source:
    """`path` is where the text comes from. Raises SourceError."""
    here = path.absolute()
    defaults = {"here": _plain(here.parent), "__file__": _plain(here)}
    parser = configparser.ConfigParser(defaults=defaults)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise SourceError(_fault(error)) from None
    except (ValueError, LookupError, AttributeError):  # ConfigParser's own, for odd lines
        raise SourceError("is no .ini file") from None
    section = _section(parser)
    _refuse_inheritance(parser, section)
    # PasteDeploy passes no setting of [DEFAULT] on, not even if the section sets it as well.
    settings = PasteSettings(parser, section, hidden=frozenset(parser.defaults()))
    complaints = [
        (shown(key), "is in [DEFAULT], and so pypicloud does not see it, not even in its own section")
        for key in parser.defaults()
        if key.startswith(_MARKS)
    ]
    users = {key.removeprefix("user."): settings.get(key) or "" for key in settings.below("user.")}
    groups = {key.removeprefix("group."): settings.words(key) for key in settings.below("group.")}
    packages: dict[str, dict[Subject, frozenset[str]]] = {}
    for key in settings.below("package."):
        if (entry := _ENTRY.fullmatch(key)) is None:
            continue  # and is listed as ignored
        subject = Subject("user", entry[3]) if entry[2] == "user" else group_subject(entry[3])
        packages.setdefault(entry[1], {})[subject] = _permissions(settings.get(key) or "")
    admins = settings.words("auth.admins")
    return Source(str(path), settings, False, users, admins, groups, packages, complaints)


def _permissions(text: str) -> frozenset[str]:
    """pypicloud looks for the letters anywhere in the text."""
    return frozenset(right for letter, right in (("r", "read"), ("w", "write")) if letter in text)


def _section(parser: configparser.ConfigParser) -> str:
    found = [
        section
        for section in parser.sections()
        if any(key.startswith(_MARKS) for key in parser.options(section) if key not in parser.defaults())
    ]
    if _MAIN in found:
        return _MAIN
    if len(found) == 1:
        return found[0]
    if found:
        raise SourceError(f"has settings of pypicloud in {len(found)} sections, and none of them is [{_MAIN}]")
    raise SourceError("has no settings of pypicloud (pypi.…, auth.…, user.…, group.…, package.…, storage.…)")


def _refuse_inheritance(parser: configparser.ConfigParser, section: str) -> None:
    use = parser.get(section, "use", raw=True, fallback="egg:").strip()
    if not use.startswith(_OWN):
        raise SourceError("use: the section inherits settings, which are not read; put all of them into this one")
    if any(key.startswith(("set ", "get ")) for key in parser.options(section)):
        raise SourceError("has keys that start with set or get, which are not read; write out what they set")


def _plain(path: Path) -> str:
    return str(path).replace("%", "%%")


def _fault(error: configparser.Error) -> str:
    """What is wrong, and in which line, without the line: it may have a secret."""
    match error:
        case configparser.MissingSectionHeaderError():
            return f"is no .ini file: line {error.lineno} is in no section"
        case configparser.DuplicateOptionError():
            return f"line {error.lineno}: {shown(error.option)} is given twice"
        case configparser.DuplicateSectionError():
            return f"line {error.lineno}: a section is there twice"
        case configparser.ParsingError() if error.errors:
            return f"is no .ini file: line {error.errors[0][0]} is no KEY = VALUE"
    return "is no .ini file"
