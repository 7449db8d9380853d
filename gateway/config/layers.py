"""The layers of a configuration: each value with its source, and every mistake."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.checks import cross_checks
from gateway.config.mistakes import reasons, shown, unknown
from gateway.config.section import Section
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS, Settings
from gateway.config.types import MERGE, TWICE, YAML_ERRORS, repeated_names
from gateway.errors import Problem


class Layers:
    """Values by section and key, each with its source, and the mistakes so far. A later value replaces an earlier."""

    models: Mapping[str, type[Section]] = SECTIONS

    def __init__(self, distinct: set[yaml.Node] | None = None) -> None:
        """The mappings of a file whose names are `distinct`, or have been refused, are not looked at again."""
        self.distinct: set[yaml.Node] = distinct if distinct is not None else set()
        self.values: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.invalid: set[str] = set()

    def add(self, name: str, value: Any, source: str) -> None:
        section, _, key = name.partition(".")
        if section not in self.models:
            self.refuse(shown(name), source, self.unknown_section(section))
        elif key not in self.models[section].model_fields:
            message = unknown(key, list(self.models[section].model_fields), section + ".")
            self.refuse(shown(name), source, message)
        else:
            self.values.setdefault(section, {})[key] = value
            self.sources[name] = source

    def add_sections(self, file: str, root: yaml.MappingNode) -> None:
        """Adds what is in `file`."""
        for section, node in self.entries(file, root):
            self.add_section(section, file, node)

    def add_section(self, section: str, file: str, node: yaml.Node) -> None:
        source = position(file, node)
        if isinstance(node, yaml.MappingNode) and (node.value or section in self.models):
            if section in OPTIONAL_SECTIONS and section in self.models:
                self.values.setdefault(section, {})  # given, even if it is empty
            for name, value in self.entries(file, node, section + "."):
                self.add_node(name, file, value)
        elif section not in self.models:
            self.refuse(shown(section), source, self.unknown_section(section))
        elif section in OPTIONAL_SECTIONS or node.tag != "tag:yaml.org,2002:null":
            self.refuse(section, source, "must be a mapping of settings")

    def entries(self, file: str, node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, yaml.Node]]:
        """What is in a mapping, and in those that it merges."""
        if node not in self.distinct:
            self.distinct.add(node)
            seen = set()
            for key, _ in node.value:
                name = _name_of(key, prefix)
                if name in seen and key.tag != MERGE:
                    self.refuse(shown(name), position(file, key), "is given twice in this file; keep one")
                seen.add(name)
        try:
            yaml.SafeLoader("").flatten_mapping(node)
        except yaml.YAMLError:
            self.refuse(shown(prefix.rstrip(".")) or file, position(file, node), "merges (<<) what is no mapping")
        yield from {_name_of(key, prefix): value for key, value in node.value if key.tag != MERGE}.items()

    def add_node(self, name: str, file: str, node: yaml.Node) -> None:
        source = position(file, node)
        for repeated in repeated_names(node, self.distinct):
            self.refuse(shown(name), position(file, repeated), TWICE)
        try:
            value = yaml.SafeLoader("").construct_document(node)
        except YAML_ERRORS:
            return self.refuse(shown(name), source, "is not a plain YAML value; put it in quotes")
        # An empty value means the default, but an unknown name is a mistake all the same.
        section, _, key = name.partition(".")
        if value is not None or section not in self.models or key not in self.models[section].model_fields:
            self.add(name, value, source)
        return None

    def refuse(self, key: str, source: str, message: str) -> None:
        self.problems.append(Problem(key, source, message))

    def build(self, base: Mapping[str, Any]) -> Settings:
        """The settings, with sections of `base` that are no layers here. What is wrong is added to `problems`."""
        sections: dict[str, Any] = {
            section: self._section(section, model)
            for section, model in self.models.items()
            if section in Settings.model_fields and (section in self.values or section not in OPTIONAL_SECTIONS)
        }
        settings = _with_short_links(Settings.model_construct(**base, **sections))
        for name, message, other in cross_checks(settings):
            # An invalid setting has its default here, which must not be compared with another setting.
            if not self.invalid & {name, other}:
                self.refuse_both(name, message, other)
        return settings

    def refuse_both(self, name: str, message: str, other: str) -> None:
        """The setting `name` does not go together with `other`."""
        self.refuse(name, self.sources.get(name, "not set"), message)

    def unknown_section(self, name: str) -> str:
        """What is said of a section that there is not."""
        for section, model in self.models.items():
            if name in model.model_fields:
                return f"is not a section; did you mean {section}.{name}?"
        return unknown(name, list(self.models), "section ")

    def _section(self, section: str, model: type[Section]) -> Section:
        values = self.values.get(section, {})
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
            self.invalid.add(name)
            self.refuse(name, self.sources[name], reason)
        return model.model_validate({key: value for key, value in values.items() if key not in dict(bad)})


def _name_of(key: yaml.Node, prefix: str) -> str:
    return prefix + (key.value if isinstance(key, yaml.ScalarNode) else "?")


def position(file: str, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def _with_short_links(settings: Settings) -> Settings:
    """The settings, with URLs that are valid no longer than `access.max_link_seconds`: whoever has one keeps it, even
    if the right to read is taken away."""
    access, storage = settings.access, settings.storage
    if access is None or storage.expire_after <= access.max_link_seconds:
        return settings
    seconds = access.max_link_seconds
    short = {"expire_after": seconds, "buffer_time": min(storage.buffer_time, seconds // 2)}
    return settings.model_copy(update={"storage": storage.model_copy(update=short)})
