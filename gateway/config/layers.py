"""The layers of a configuration: each value with its source, and every mistake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.checks import cross_checks
from gateway.config.mistakes import fault, reasons, shown, unknown
from gateway.config.section import Section
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS, Settings, with_short_links
from gateway.errors import ConfigError, Problem

_LATER = frozenset({"cors"})
# What PyYAML raises: its own errors, and those of its constructors (`!!bool maybe`, `!!timestamp x`).
_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError)


class Layers:
    """Values by section and key, each with its source, and the mistakes so far. A later value replaces an earlier."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._invalid: set[str] = set()

    def add(self, name: str, value: Any, source: str) -> None:
        section, _, key = name.partition(".")
        if section not in SECTIONS:
            self._refuse(shown(name), source, _unknown_section(section))
        elif key not in SECTIONS[section].model_fields:
            message = unknown(key, list(SECTIONS[section].model_fields), section + ".")
            self._refuse(shown(name), source, message)
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
            return self._refuse(str(file), "configuration file", f"is not valid YAML: {fault(error)}")
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
                self._refuse(shown(section), source, _unknown_section(section))
            elif section in OPTIONAL_SECTIONS or node.tag != "tag:yaml.org,2002:null":
                self._refuse(section, source, "must be a mapping of settings")
        return None

    def _entries(self, file: Path, node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, yaml.Node]]:
        seen = set()
        for key, value in node.value:
            name = prefix + (key.value if isinstance(key, yaml.ScalarNode) else "?")
            if name in seen:
                self._refuse(shown(name), _position(file, key), "is given twice in this file; keep one")
            seen.add(name)
            yield name, value

    def _add_node(self, name: str, node: yaml.Node, source: str) -> None:
        try:
            value = yaml.SafeLoader("").construct_document(node)
        except _YAML_ERRORS:
            return self._refuse(shown(name), source, "is not a plain YAML value; put it in quotes")
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
                for reason in reasons(values[key], [item for item in mistakes if item["loc"][0] == key])
            ]
        for key, reason in bad:
            name = f"{section}.{key}"
            self._invalid.add(name)
            self._refuse(name, self.sources[name], reason)
        return model.model_validate({key: value for key, value in values.items() if key not in dict(bad)})


def _position(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def _unknown_section(name: str) -> str:
    if name in _LATER:
        return "is not available in this version"
    for section, model in SECTIONS.items():
        if name in model.model_fields:
            return f"is not a section; did you mean {section}.{name}?"
    return unknown(name, list(SECTIONS), "section ")
