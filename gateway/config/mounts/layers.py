"""The layers of one mount, over those of the top level."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.access.settings import TELLERS_OF_PASSWORDS
from gateway.config.layers import Layers
from gateway.config.mounts.settings import (
    NAME,
    REPLACED,
    SECTIONS_OF_MEMBERED,
    SECTIONS_OF_MOUNTS,
    MountSettings,
)
from gateway.config.settings import SECTIONS, Settings

_BUCKET = "{bucket}"
_OWN = "mount"  # the section of what a mount says of itself
# They mean nothing without listings, even if the top level has them.
_OF_LISTINGS = ("fallback", "policy", "publish")
# Mounts share it.
_OF_ALL = ("index.memory_bytes",)
_SESSIONS_OF_OTHERS = (
    "needs access.login with cookie_keys of the mount's own: by those of the top level, whoever logs in here with a "
    "password is believed there"
)
_FOR_ALL = "is for all mounts: give it at the top level"


class MountLayers(Layers):
    """What a mount does not give is as at the top level, but for what it replaces in another way (REPLACED)."""

    models = {_OWN: MountSettings} | {name: SECTIONS[name] for name in SECTIONS_OF_MOUNTS}

    def __init__(self, number: int, source: str, distinct: set[yaml.Node]) -> None:
        """`number` counts from 1; `source` is where the mount is given."""
        super().__init__(distinct)
        self.source = source
        self._title = f"mounts.{number}"
        self._inherited: set[str] = set()
        self._given: frozenset[str] = frozenset()

    def add(self, name: str, value: Any, source: str) -> None:
        if name in _OF_ALL:
            return self.refuse(name, source, _FOR_ALL)
        return super().add(name, value, source)

    def add_mount(self, file: str, node: yaml.MappingNode) -> None:
        """Adds an item of the list `mounts`."""
        name = next((value.value for key, value in node.value if key.value == "name"), None)
        if isinstance(name, str) and NAME.fullmatch(name):
            self._title = f"mounts.{name}"
        elif name is None:
            self.refuse("name", self.source, "is needed: a word like team-b")
        for key, value in self.entries(file, node):
            if key in MountSettings.model_fields:
                self.add_node(f"{_OWN}.{key}", file, value)
            else:
                self.add_section(key, file, value)

    def each(self) -> "Sequence[MountLayers]":
        """The mount itself; or one for each of its `buckets`, whose name takes the place of {bucket}."""
        own = self.values.get(_OWN, {})
        places = [name for name in ("path", "host") if _BUCKET in str(own.get(name, ""))]
        try:
            buckets = MountSettings.model_validate({"buckets": own.get("buckets") or []}).buckets
        except ValidationError:  # `over` says why
            for name in places:
                own.pop(name)
            return [self]
        own.pop("buckets", None)
        if not buckets:
            if places:
                self.refuse(places[0], self.source, "has {bucket}: list those that it may stand for in buckets")
                own.pop(places[0])
            return [self]
        if not places:
            self.refuse("buckets", self.source, "needs {bucket} in path or host, where their names are to stand")
        if "bucket" in self.values.get("storage", {}):
            self.refuse("storage.bucket", self.sources["storage.bucket"], "is given by buckets: leave it out")
        return [self._of_bucket(bucket, own, places, first=not number) for number, bucket in enumerate(buckets)]

    def _of_bucket(self, bucket: str, own: Mapping[str, Any], places: Sequence[str], *, first: bool) -> "MountLayers":
        """A copy for one of the buckets; the `first` has the mistakes of all."""
        layers = copy.copy(self)
        name = f"{own.get('name', '')}-{re.sub('[^a-z0-9]+', '-', bucket.lower()).strip('-')}"
        layers.values = {section: dict(values) for section, values in self.values.items()}
        layers.values[_OWN] |= {"name": name} | {place: str(own[place]).replace(_BUCKET, bucket) for place in places}
        layers.values.setdefault("storage", {})["bucket"] = bucket
        layers.sources = self.sources | {"storage.bucket": self.source}
        layers.problems = [*self.problems] if first else []
        layers.invalid, layers._inherited, layers._title = set(), set(), f"mounts.{name}"
        return layers

    @property
    def named_sources(self) -> dict[str, str]:
        """The source of each setting, by `mounts.name.section.key`."""
        return {f"{self._title}.{name.removeprefix(f'{_OWN}.')}": source for name, source in self.sources.items()}

    def answers_to(self, name: str) -> bool:
        """Whether a name means this mount. In those of variables, underscores stand for hyphens."""
        return name.replace("-", "_") == self._title.removeprefix("mounts.").replace("-", "_")

    def refuse(self, key: str, source: str, message: str) -> None:
        if key not in self._inherited:  # the top level has said what is wrong with that
            super().refuse(f"{self._title}.{key.removeprefix(f'{_OWN}.')}", source, message)

    def refuse_both(self, name: str, message: str, other: str) -> None:
        """The top level has said what is wrong with sections of which the mount gives nothing."""
        if not self._given.isdisjoint(key.partition(".")[0] for key in (name, other)):
            super().refuse(f"{self._title}.{name}", self.sources.get(name, self.source), message)

    def unknown_section(self, name: str) -> str:
        return _FOR_ALL if name in SECTIONS else super().unknown_section(name)

    def over(self, top: Layers, common: Settings) -> Settings:
        """The settings of the mount; `common` are those of the top level. What is wrong is added to `problems`."""
        self._given = frozenset(self.values)
        own = self._section(_OWN, MountSettings)
        assert isinstance(own, MountSettings)
        if own.members:
            for section in sorted(self._given - SECTIONS_OF_MEMBERED - {_OWN}):
                self.refuse(section, self.source, "has no effect with members, which have their own")
        tellers = sorted(TELLERS_OF_PASSWORDS & self.values.get("access", {}).keys())
        self._inherit(top)
        server = common.server
        base_path = server.base_path + own.path
        public_url = _public_url(server.public_url, own)
        server = server.model_copy(update={"base_path": base_path, "public_url": public_url})
        rest = {name: getattr(common, name) for name in Settings.model_fields if name not in self.models}
        settings = self.build(rest | {"server": server})
        settings.place(own, shares_access="access" not in self._given)
        login = settings.access.login if settings.access is not None else None
        if tellers and "access.login" in self._inherited and login is not None and login.oidc is None:
            self.refuse(f"access.{tellers[0]}", self.sources[f"access.{tellers[0]}"], _SESSIONS_OF_OTHERS)
        return settings

    def _inherit(self, top: Layers) -> None:
        lists = self.values.get("index", {}).get("mode", "auto") in ("auto", "generated")
        own = self.values.get("storage", {}).keys()
        replaced = {f"storage.{key}" for given, keys in REPLACED if not own.isdisjoint(given) for key in keys}
        for section in SECTIONS_OF_MOUNTS:
            if section not in top.values or (section in _OF_LISTINGS and not lists):
                continue
            values = self.values.setdefault(section, {})
            for key, value in top.values[section].items():
                name = f"{section}.{key}"
                if key not in values and name not in replaced:
                    values[key] = value
                    self.sources[name] = top.sources[name]
                    self._inherited.add(name)


def _public_url(url: str | None, mount: MountSettings) -> str | None:
    """The URL at which clients reach a mount, if that of the gateway is known: it has another host if the mount has one
    of its own. A pattern of hosts tells none."""
    if url is None or mount.host.startswith("*"):
        return None
    scheme, _, rest = url.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    if mount.host:
        port = host.rpartition("]")[2].partition(":")[2]
        host = f"{mount.host}:{port}" if port else mount.host
    return f"{scheme}://{host}{slash}{path}{mount.path}"
