"""Settings as YAML for people: those in force with their sources, and a file to start with."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config.mounts.settings import DEFAULT, SECTIONS_OF_MOUNTS, MountSettings
from gateway.config.section import Section
from gateway.config.settings import SECTIONS, Settings
from gateway.config.types import SIZE, size_text

_MOUNTS = "mounts"
_HIDDEN = "(hidden)"
_MASKED_FROM = 16
# What `gateway init` writes: the settings that most people need.
_STARTER = {
    "server": ("host", "port", "tls_cert", "tls_key", "trusted_proxies"),
    "storage": ("bucket", "region_name", "profile_name", "endpoint_url", "prefix", "dir", "redirect_urls"),
    "index": ("layout", "refresh"),
    "fallback": ("mode", "base_url", "disallow"),
    "policy": ("min_age",),
    "cache": ("memory_bytes", "dir", "disk_bytes"),
    "ops": ("port", "admin_token"),
    "log": ("level", "format"),
}
_STARTER_HEAD = """\
# Settings of the gateway that most people need, at their defaults. Remove the # of a line to change it.
# All settings are in docs/pages/settings.md of the gateway's repository. gateway config prints those in force.
# Further buckets, at paths or host names of their own, are mounts: see docs/pages/mounts.md there.
# Keep secrets in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or GATEWAY_OPS__ADMIN_TOKEN.
# Then: gateway check, and gateway serve
"""


def value_text(field: FieldInfo, value: Any) -> str:
    """A setting's value as YAML, on one line."""
    if SIZE in field.metadata:
        return size_text(value)
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return _HIDDEN
    if isinstance(value, Section):
        return {name: part for name, part in value if part is not None}
    return str(value)


def in_force(settings: Settings, sources: Mapping[str, str]) -> str:
    """All settings, each with its source as a comment, and those of mounts that are not as at the top level. Secrets,
    and addresses that have one in them, are hidden."""
    lines = _sections(settings, sources, SECTIONS)
    if not settings.has_default:
        lines.append("# The top level is no mount itself: it names no bucket and no directory.")
    if settings.mounts:
        lines.append(f"{_MOUNTS}:")
    for mount in settings.mounts:
        lines += _item(settings, mount, sources)
    return "\n".join(lines)


def of_mount(mount: Settings, sources: Mapping[str, str]) -> str:
    """All settings that one mount may give, in the same way."""
    if mount.mount.name == DEFAULT:
        return "\n".join(_sections(mount, sources, SECTIONS))
    prefix = f"{_MOUNTS}.{mount.mount.name}."
    lines = [f"# Of the mount {mount.mount.name}. All other settings are those of the top level."]
    lines += [_line(name, mount.mount, sources, prefix) for name in MountSettings.model_fields]
    return "\n".join([*lines, *_sections(mount, sources, () if mount.mount.members else SECTIONS_OF_MOUNTS, prefix)])


def _sections(settings: Settings, sources: Mapping[str, str], sections: Iterable[str], prefix: str = "") -> list[str]:
    lines = []
    for section in sections:
        values = getattr(settings, section)
        if values is None:
            lines.append(f"# {section}: not given")
            continue
        lines.append(f"{section}:")
        names = SECTIONS[section].model_fields
        lines += [f"  {_line(name, values, sources, f'{prefix}{section}.')}" for name in names]
    return lines


def _item(top: Settings, mount: Settings, sources: Mapping[str, str]) -> list[str]:
    """An item of the list of mounts: what is not as at the top level, or the mount gives all the same."""
    prefix = f"{_MOUNTS}.{mount.mount.name}."
    lines = [
        _line(name, mount.mount, sources, prefix) for name in MountSettings.model_fields if prefix + name in sources
    ]
    for section in SECTIONS_OF_MOUNTS:
        values, above = getattr(mount, section), getattr(top, section)
        shown = [
            name
            for name in (SECTIONS[section].model_fields if values is not None else ())
            if sources.get(f"{prefix}{section}.{name}") != sources.get(f"{section}.{name}")
            or (above is not None and getattr(values, name) != getattr(above, name))
        ]
        if shown:
            lines.append(f"{section}:")
        lines += [f"  {_line(name, values, sources, f'{prefix}{section}.')}" for name in shown]
    return [f"  {'-' if number == 0 else ' '} {line}" for number, line in enumerate(lines)]


def _line(name: str, values: Section, sources: Mapping[str, str], prefix: str) -> str:
    value = value_text(type(values).model_fields[name], _redacted(name, getattr(values, name)))
    return f"{name}: {value}  # {sources.get(prefix + name, 'default')}"


def starter(given: Mapping[str, str]) -> str:
    """A configuration file with `given` settings, by `section.key`; the others that most people need are comments."""
    lines = [_STARTER_HEAD]
    for section, names in _STARTER.items():
        model = SECTIONS[section]
        lines.append(f"{section}:  # {(model.__doc__ or '').rstrip('.')}")
        for name in names:
            field, value = model.model_fields[name], given.get(f"{section}.{name}")
            lines.append(f"  # {field.description}")
            lines.append(
                f"  # {name}: {value_text(field, field.default)}" if value is None else f"  {name}: {json.dumps(value)}"
            )
        lines.append("")
    return "\n".join(lines)


def _redacted(name: str, value: Any) -> Any:
    if name == "aws_access_key_id" and value is not None:
        return f"{value[:4]}…{value[-4:]}" if len(value) >= _MASKED_FROM else _HIDDEN
    if name == "proxies" and value is not None:
        return {scheme: _HIDDEN if "@" in url else url for scheme, url in value.items()}
    return value
