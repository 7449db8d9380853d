"""Where settings come from: flags beat the environment, which beats the file, which beats the defaults."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.checks import cross_checks
from gateway.config.file_state import file_state
from gateway.config.section import Section
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS, Settings, SettingsFile, with_short_links
from gateway.config.types import Refused
from gateway.errors import ConfigError, Problem

_ENV_PREFIX = "GATEWAY_"
_FILE_ENV = "GATEWAY_CONFIG"
_DEFAULT_FILES = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))
# The variables of the nginx setup that the gateway replaces.
_NGINX_NAMES = {
    "AWS_S3_BUCKET": "storage.bucket",
    "AWS_ACCESS_KEY": "storage.aws_access_key_id",
    "AWS_SECRET_KEY": "storage.aws_secret_access_key",
}
_LATER = frozenset({"cors"})
# What PyYAML raises: its own errors, and those of its constructors (`!!bool maybe`, `!!timestamp x`).
_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError)
# The part of an unknown name that is shown, if it looks like a setting's name. Other text may be a misplaced secret.
_NAME = re.compile(r"[A-Za-z_-]{1,32}(?![\w-])")


def load(
    flags: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """The settings of this process. See `load_with_sources`."""
    return load_with_sources(flags, config_file=config_file, environ=environ, cwd=cwd)[0]


def load_with_sources(
    flags: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[Settings, Mapping[str, str]]:
    """The settings of this process, and the source of each that is not at its default, by `section.key`. `flags` maps
    `section.key` to text; an empty variable counts as unset.

    The file is `config_file`, else $GATEWAY_CONFIG, else ./config.yaml, else /etc/gateway/config.yaml, else none.
    Raises ConfigError with every mistake found, each with its key and the place it came from.
    """
    environ = os.environ if environ is None else environ
    layers = _Layers()
    file = config_file or (Path(environ[_FILE_ENV]) if environ.get(_FILE_ENV) else None)
    if file is None:
        candidates = ((cwd or Path()) / candidate for candidate in _DEFAULT_FILES)
        file = next((candidate for candidate in candidates if _is_there(candidate)), None)
    if file is not None:
        state = file_state(file)
        layers.add_file(file)
    for name, key in _NGINX_NAMES.items():
        if environ.get(name):
            layers.add(key, environ[name], f"environment {name}")
    for name, text in sorted(environ.items()):
        section, separator, key = name.removeprefix(_ENV_PREFIX).partition("__")
        # Other GATEWAY_* variables are not ours: Kubernetes injects GATEWAY_PORT for a Service called gateway.
        if name.startswith(_ENV_PREFIX) and separator and text:
            layers.add(f"{section.lower()}.{key.lower()}", text, f"environment {name}")
    for key, text in (flags or {}).items():
        layers.add(key, text, "command line")
    settings = layers.settings()
    if settings.access is not None and file is not None:
        again = partial(load, flags, config_file=file, environ=environ, cwd=cwd)
        settings.remember(SettingsFile(file, state, again))
    return settings, layers.sources


def load_text(text: str, name: str) -> Settings:
    """The settings that a file with this text gives by itself. `name` stands for the file in messages. Raises
    ConfigError."""
    layers = _Layers()
    layers.add_text(Path(name), text)
    return layers.settings()


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """Hints about variables that would be settings if they had two underscores, such as GATEWAY_STORAGE_BUCKET. They
    are no errors: Kubernetes injects GATEWAY_SERVER_PORT, an address, for a Service called gateway-server."""
    known = {f"{_ENV_PREFIX}{section}_{key}".upper(): (section, key) for section, key in _all_keys()}
    found = []
    for name, text in sorted(environ.items()):
        if name in known and text and "://" not in text:
            section, key = known[name]
            right = f"{_ENV_PREFIX}{section}__{key}".upper()
            found.append(f"the variable {name} is ignored; to set {section}.{key}, use two underscores: {right}")
    return found


def _all_keys() -> Iterator[tuple[str, str]]:
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            yield section, key


class _Layers:
    """Values by section and key, each with its source, and the mistakes so far. A later value replaces an earlier."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._invalid: set[str] = set()

    def add(self, name: str, value: Any, source: str) -> None:
        section, _, key = name.partition(".")
        if section not in SECTIONS:
            self._refuse(_shown(name), source, _unknown_section(section))
        elif key not in SECTIONS[section].model_fields:
            message = _unknown(key, list(SECTIONS[section].model_fields), section + ".")
            self._refuse(_shown(name), source, message)
        else:
            self._values.setdefault(section, {})[key] = value
            self.sources[name] = source

    def add_file(self, file: Path) -> None:
        try:
            text = file.read_text("utf-8")
        except OSError as error:
            return self._refuse(str(file), "configuration file", f"can't be read: {error.strerror}")
        except UnicodeDecodeError:
            return self._refuse(str(file), "configuration file", "is not UTF-8 text")
        return self.add_text(file, text)

    def add_text(self, file: Path, text: str) -> None:
        """Adds what is in `file`."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            return self._refuse(str(file), "configuration file", f"is not valid YAML: {_fault(error)}")
        except RecursionError:
            return self._refuse(str(file), "configuration file", "is nested too deeply")
        if root is None:
            return None
        if not isinstance(root, yaml.MappingNode):
            return self._refuse(str(file), "configuration file", "must be a mapping of sections")
        for section, node in self._entries(file, root):
            source = _position(file, node)
            if isinstance(node, yaml.MappingNode):
                if section in OPTIONAL_SECTIONS:
                    self._values.setdefault(section, {})  # given, even if it is empty
                for name, value in self._entries(file, node, section + "."):
                    self._add_node(name, value, _position(file, value))
            elif section not in SECTIONS:
                self._refuse(_shown(section), source, _unknown_section(section))
            elif section in OPTIONAL_SECTIONS or node.tag != "tag:yaml.org,2002:null":
                self._refuse(section, source, "must be a mapping of settings")
        return None

    def _entries(self, file: Path, node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, yaml.Node]]:
        seen = set()
        for key, value in node.value:
            name = prefix + (key.value if isinstance(key, yaml.ScalarNode) else "?")
            if name in seen:
                self._refuse(_shown(name), _position(file, key), "is given twice in this file; keep one")
            seen.add(name)
            yield name, value

    def _add_node(self, name: str, node: yaml.Node, source: str) -> None:
        try:
            value = yaml.SafeLoader("").construct_document(node)
        except _YAML_ERRORS:
            return self._refuse(_shown(name), source, "is not a plain YAML value; put it in quotes")
        # An empty value means the default, but an unknown name is a mistake all the same.
        section, _, key = name.partition(".")
        if value is not None or section not in SECTIONS or key not in SECTIONS[section].model_fields:
            self.add(name, value, source)
        return None

    def _refuse(self, key: str, source: str, message: str) -> None:
        self._problems.append(Problem(key, source, message))

    def settings(self) -> Settings:
        sections: dict[str, Any] = {
            section: self._section(section, model)
            for section, model in SECTIONS.items()
            if section in self._values or section not in OPTIONAL_SECTIONS
        }
        settings = with_short_links(Settings.model_construct(**sections))
        for name, message, other in cross_checks(settings):
            # An invalid setting has its default here, which must not be compared with another setting.
            if not self._invalid & {name, other}:
                self._refuse(name, self.sources.get(name, "not set"), message)
        if self._problems:
            raise ConfigError(self._problems)
        return settings

    def _section(self, section: str, model: type[Section]) -> Section:
        values = self._values.get(section, {})
        try:
            return model.model_validate(values)
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_input=False)
            bad = [
                (key, reason)
                for key in dict.fromkeys(str(item["loc"][0]) for item in mistakes)
                for reason in _reasons(values[key], [item for item in mistakes if item["loc"][0] == key])
            ]
        for key, reason in bad:
            name = f"{section}.{key}"
            self._invalid.add(name)
            self._refuse(name, self.sources[name], reason)
        return model.model_validate({key: value for key, value in values.items() if key not in dict(bad)})


def _is_there(file: Path) -> bool:
    """A file that this user may not reach, or a dangling link, counts as there: it is refused rather than ignored."""
    try:
        file.lstat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def _fault(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the piece of the file that PyYAML quotes, which may be a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return re.sub(r""" ('[^'<][^']+'|"[^"]*")""", "", error.problem or "") + where


def _reasons(value: Any, errors: Sequence[Any]) -> list[str]:
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


def _shown(name: str) -> str:
    """A name of a section, or of a setting in one."""
    parts = []
    for part in name.split(".", 1):
        found = _NAME.match(part)
        parts.append(found[0] + "…" * (found[0] != part) if found else "…")
    return ".".join(parts)


def _position(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def _unknown_section(name: str) -> str:
    if name in _LATER:
        return "is not available in this version"
    for section, model in SECTIONS.items():
        if name in model.model_fields:
            return f"is not a section; did you mean {section}.{name}?"
    return _unknown(name, list(SECTIONS), "section ")


def _unknown(name: str, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (
        f"is not a setting; did you mean {prefix}{near[0]}?"
        if near
        else f"is not a setting; there are {', '.join(known)}"
    )
