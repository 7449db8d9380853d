"""What pypicloud's files say, before anything is made of it."""

import re
from collections.abc import Mapping, Sequence
from configparser import BasicInterpolation, ConfigParser, InterpolationError, InterpolationMissingOptionError
from dataclasses import dataclass, field

from gateway.rights.subjects import Subject, is_name

# As pyramid.settings.asbool has them.
_TRUE = frozenset({"t", "true", "y", "yes", "on", "1"})
_MAX_NAME = 255
_MAX_GROUPS = 1000
# A line of a key in PEM, which is not indented as it should be, looks like a setting, but has no dot.
_KEY = re.compile(r"[a-z_]{1,20}(\.[A-Za-z0-9_@.+-]{1,100})?", re.ASCII)


class SourceError(Exception):
    """The file can't be used. The text says why, and quotes no value."""


def shown(key: str) -> str:
    """A key, if it looks like one: in a line with a typing error, a secret may be where the key should be."""
    return key if _KEY.fullmatch(key) else "…"


def usable(name: str) -> bool:
    """Whether a user or a group can be called so in the gateway."""
    return is_name(name) and len(name) <= _MAX_NAME


class PasteSettings:
    """The settings of a section, each expanded when it is asked for: `%(here)s`."""

    def __init__(
        self, parser: ConfigParser | None = None, section: str = "", *, hidden: frozenset[str] = frozenset()
    ) -> None:
        """`hidden` are keys that do not count. Without a parser there are no settings."""
        self._parser = parser if parser is not None else ConfigParser(interpolation=BasicInterpolation())
        self._section = section
        self.keys = [key for key in self._parser.options(section) if key not in hidden] if parser is not None else []
        self._known = frozenset(self.keys)
        self._used: set[str] = set()

    def get(self, *names: str) -> str | None:
        """The first of these that is set. Raises SourceError for a value that can't be expanded."""
        found = next((name for name in names if name in self._known), None)
        self._used.update(names)
        if found is None:
            return None
        try:
            return self._parser.get(self._section, found)
        except InterpolationMissingOptionError as error:
            name = shown(str(error.reference))
            raise SourceError(f"{shown(found)}: there is no {name} for %({name})s; put it into [DEFAULT]") from None
        except InterpolationError:
            raise SourceError(f"{shown(found)}: has a % that starts no %(name)s; a plain one is written %%") from None

    def words(self, *names: str, default: Sequence[str] = ()) -> list[str]:
        """As pyramid.settings.aslist divides them: by whitespace."""
        text = self.get(*names)
        return list(default) if text is None else text.split()

    def groups(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """The same of a setting that lists groups. Raises SourceError if there are too many: they are compared in
        pairs."""
        found = self.words(name, default=default)
        if len(found) > _MAX_GROUPS:
            raise SourceError(f"{name}: has over {_MAX_GROUPS:,} names")
        return found

    def flag(self, *names: str, default: bool = False) -> bool:
        text = self.get(*names)
        return default if text is None else is_true(text)

    def below(self, prefix: str) -> list[str]:
        """The keys that start so."""
        return [key for key in self.keys if key.startswith(prefix)]

    def forget(self, beginnings: tuple[str, ...]) -> None:
        """Counts the keys that start so as not asked for."""
        self._used = {key for key in self._used if not key.startswith(beginnings)}

    def unused(self) -> list[str]:
        """The keys that nobody has asked for."""
        return [key for key in self.keys if key not in self._used]


def is_true(text: str) -> bool:
    return text.strip().lower() in _TRUE


# What a package's entries grant: of `read` and `write`, some, both, or none, which is an entry all the same.
Entries = Mapping[Subject, frozenset[str]]


@dataclass(frozen=True)
class Source:
    """`users` are stored hashes by name, empty if there is none. `packages` are the entries by the name of the package
    as it is written. `complaints` are what was wrong and could be left out: about what, and why."""

    name: str
    settings: PasteSettings
    is_export: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    admins: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    packages: Mapping[str, Entries] = field(default_factory=dict)
    complaints: Sequence[tuple[str, str]] = ()


def group_subject(group: str) -> Subject:
    """Of what stands where pypicloud has a group: its own names for everybody count too."""
    if group in ("everyone", "system.Everyone"):
        return Subject("everyone")
    if group in ("authenticated", "system.Authenticated"):
        return Subject("authenticated")
    return Subject("group", group.removeprefix("group:"))
