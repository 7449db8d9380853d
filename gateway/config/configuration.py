"""A configuration: the layers of the top level, and those of each mount."""

from typing import Any

import yaml

from gateway.config.layers import Layers, position
from gateway.config.mistakes import fault
from gateway.config.mounts.checks import beside_each_other
from gateway.config.mounts.layers import MountLayers
from gateway.config.settings import Settings
from gateway.errors import ConfigError

_MOUNTS = "mounts"
_FILE = "configuration file"


class Configuration(Layers):
    """Those of the top level."""

    def __init__(self) -> None:
        super().__init__()
        self._mounts: list[MountLayers] = []

    def add(self, name: str, value: Any, source: str) -> None:
        """Adds a setting by its name: `section.key`, or `mounts.name.section.key` for a mount of the file."""
        section, _, rest = name.partition(".")
        if section != _MOUNTS:
            return super().add(name, value, source)
        mount, _, key = rest.partition(".")
        found = next((layers for layers in self._mounts if layers.answers_to(mount)), None)
        if found is None:
            return self.refuse(_MOUNTS, source, "names a mount that the configuration file does not have")
        return found.add(key, value, source)

    @property
    def named_sources(self) -> dict[str, str]:
        """The source of each setting, by the name under which it can be added."""
        found = dict(self.sources)
        for layers in self._mounts:
            found |= layers.named_sources
        return found

    def refuse_file(self, file: str, fault: str) -> None:
        self.refuse(file, _FILE, fault)

    def add_text(self, file: str, text: str) -> None:
        """Adds the text of `file`."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            return self.refuse(file, _FILE, f"is not valid YAML: {fault(error)}")
        except RecursionError:
            return self.refuse(file, _FILE, "is nested too deeply")
        if root is None:
            return None
        if not isinstance(root, yaml.MappingNode):
            return self.refuse(file, _FILE, "must be a mapping of sections")
        for section, node in self.entries(file, root):
            if section == _MOUNTS:
                self._add_mounts(file, node)
            else:
                self.add_section(section, file, node)
        return None

    def _add_mounts(self, file: str, node: yaml.Node) -> None:
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for number, item in enumerate(items, 1):
            if not isinstance(item, yaml.MappingNode):
                self.refuse(_MOUNTS, position(file, item), "must be a list of mappings, each with a name")
                continue
            layers = MountLayers(number, position(file, item), self.distinct)
            layers.add_mount(file, item)
            self._mounts.append(layers)

    def settings(self) -> Settings:
        """Raises ConfigError with every mistake, each with its key and its source."""
        top = self.build({})
        self._mounts = [each for layers in self._mounts for each in layers.each()]
        mounts = tuple(layers.over(self, top) for layers in self._mounts)
        top.place(top.mount, mounts)
        for number, name, message in beside_each_other(top):
            self._mounts[number].refuse(name, self._mounts[number].source, message)
        problems = [*self.problems, *(problem for layers in self._mounts for problem in layers.problems)]
        if problems:
            raise ConfigError(problems)
        return top
