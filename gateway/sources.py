"""Where settings come from: flags beat the environment, which beats the file, which beats the defaults."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from gateway.config import SECTIONS, Settings, cross_checks
from gateway.errors import ConfigError, Problem

_ENV_PREFIX = "GATEWAY_"
_FILE_ENV = "GATEWAY_CONFIG"
_DEFAULT_FILES = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))
# The names of the nginx setup that the gateway takes the place of.
_NGINX_NAMES = {
    "AWS_S3_BUCKET": "storage.bucket",
    "AWS_ACCESS_KEY": "storage.aws_access_key_id",
    "AWS_SECRET_KEY": "storage.aws_secret_access_key",
}
_LATER = frozenset({"index", "fallback", "access", "cache", "cors"})


def load(
    flags: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """The settings of this process. `flags` maps `section.key` to text; an empty variable counts as unset.

    The file is `config_file`, else $GATEWAY_CONFIG, else ./config.yaml, else /etc/gateway/config.yaml, else none.
    Raises ConfigError with every mistake found, each with its key and the place it came from.
    """
    environ = os.environ if environ is None else environ
    layers = _Layers()
    file = config_file or (Path(environ[_FILE_ENV]) if environ.get(_FILE_ENV) else None)
    if file is None:
        candidates = ((cwd or Path()) / candidate for candidate in _DEFAULT_FILES)
        file = next((candidate for candidate in candidates if candidate.exists()), None)
    if file is not None:
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
    return layers.settings()


class _Layers:
    """Values by section and key, the last one given standing, each with its source; and the mistakes so far."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._sources: dict[str, str] = {}
        self._problems: list[Problem] = []

    def add(self, name: str, value: Any, source: str) -> None:
        section, _, key = name.partition(".")
        if section not in SECTIONS:
            self._problems.append(Problem(name, source, _unknown_section(section)))
        elif key not in SECTIONS[section].model_fields:
            self._problems.append(
                Problem(name, source, _unknown(key, list(SECTIONS[section].model_fields), section + "."))
            )
        else:
            self._values.setdefault(section, {})[key] = value
            self._sources[name] = source

    def add_file(self, file: Path) -> None:
        try:
            root = yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader)
        except OSError as error:
            return self._refuse(str(file), "configuration file", f"can't be read: {error.strerror}")
        except UnicodeDecodeError:
            return self._refuse(str(file), "configuration file", "is not UTF-8 text")
        except yaml.YAMLError as error:
            return self._refuse(str(file), "configuration file", f"is not valid YAML: {' '.join(str(error).split())}")
        if root is None:
            return None
        if not isinstance(root, yaml.MappingNode):
            return self._refuse(str(file), "configuration file", "must be a mapping of sections")
        for section, node in _items(root):
            source = _position(file, node)
            if isinstance(node, yaml.MappingNode):
                for key, value in _items(node):
                    self._add_node(f"{section}.{key}", value, _position(file, value))
            elif section not in SECTIONS:
                self._refuse(section, source, _unknown_section(section))
            elif node.tag != "tag:yaml.org,2002:null":
                self._refuse(section, source, "must be a mapping of settings")
        return None

    def _add_node(self, name: str, node: yaml.Node, source: str) -> None:
        try:
            value = yaml.SafeLoader("").construct_document(node)
        except (yaml.YAMLError, ValueError) as error:
            return self._refuse(name, source, f"is not a plain YAML value: {' '.join(str(error).split())}")
        # An empty value means the default, but an unknown name is a mistake all the same.
        section, _, key = name.partition(".")
        if value is not None or section not in SECTIONS or key not in SECTIONS[section].model_fields:
            self.add(name, value, source)
        return None

    def _refuse(self, key: str, source: str, message: str) -> None:
        self._problems.append(Problem(key, source, message))

    def settings(self) -> Settings:
        sections = {}
        for section, model in SECTIONS.items():
            try:
                sections[section] = model.model_validate(self._values.get(section, {}))
            except ValidationError as error:
                sections[section] = model()  # so that the other sections are checked too
                bad = {str(item["loc"][0]): item for item in error.errors(include_url=False)}
                for key, item in bad.items():
                    self._problems.append(self._invalid(f"{section}.{key}", item["msg"]))
        settings = Settings(**sections)
        for name, message in cross_checks(settings):
            # A section with a mistake stands at its defaults: its settings can't be held against each other.
            if not any(problem.key.startswith(name.partition(".")[0] + ".") for problem in self._problems):
                self._problems.append(Problem(name, self._sources.get(name, "not set"), message))
        if self._problems:
            raise ConfigError(self._problems)
        return settings

    def _invalid(self, name: str, reason: str) -> Problem:
        section, _, key = name.partition(".")
        value = self._values[section][key]
        secret = SecretStr in getattr(SECTIONS[section].model_fields[key].annotation, "__args__", ())
        reason = reason.removeprefix("Value error, ")
        return Problem(name, self._sources[name], reason if secret else f"{value!r}: {reason}")


def _items(node: yaml.MappingNode) -> list[tuple[str, yaml.Node]]:
    return [(str(key.value), value) for key, value in node.value]


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
