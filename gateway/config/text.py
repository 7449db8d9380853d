"""Settings as YAML for people: those in force with their sources, and a file to start with."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config.section import Section
from gateway.config.settings import SECTIONS, Settings
from gateway.config.types import SIZE, size_text

_HIDDEN = "(hidden)"
_MASKED_FROM = 16
# What `gateway init` writes: the settings that most people need.
_STARTER = {
    "server": ("host", "port", "tls_cert", "tls_key", "trusted_proxies"),
    "storage": ("bucket", "region_name", "profile_name", "endpoint_url", "prefix", "dir", "redirect_urls"),
    "index": ("layout", "refresh"),
    "fallback": ("mode", "base_url", "disallow"),
    "cache": ("memory_bytes", "dir", "disk_bytes"),
    "ops": ("port", "admin_token"),
    "log": ("level", "format"),
}
_STARTER_HEAD = """\
# Settings of the gateway that most people need, at their defaults. Remove the # of a line to change it.
# All settings are in docs/pages/settings.md of the gateway's repository. gateway config prints those in force.
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
    """All settings, each with its source as a comment. Secrets, and addresses that have one in them, are hidden."""
    lines = []
    for section, model in SECTIONS.items():
        values = getattr(settings, section)
        if values is None:
            lines.append(f"# {section}: not given")
            continue
        lines.append(f"{section}:")
        for name, field in model.model_fields.items():
            value = _redacted(name, getattr(values, name))
            source = sources.get(f"{section}.{name}", "default")
            lines.append(f"  {name}: {value_text(field, value)}  # {source}")
    return "\n".join(lines)


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
