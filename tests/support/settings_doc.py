"""config.yaml and the README's table, made from the settings themselves.

Usage: python -m tests.support.settings_doc yaml|table
"""

import json
import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from gateway.config import SECTIONS

_HEAD = """\
# Every setting of the gateway, at its default. Times are in seconds.
# Command-line flags beat the environment (GATEWAY_STORAGE__BUCKET), which beats this file.
# null means: not set.
"""


def yaml_text() -> str:
    """What config.yaml at the root of the repository has to be."""
    lines = [_HEAD]
    for section, model in SECTIONS.items():
        lines.append(f"{section}:  # {(model.__doc__ or '').rstrip('.')}")
        for name, field in model.model_fields.items():
            lines.append(f"  # {field.description}")
            lines.append(f"  {name}: {_default(field)}")
        lines.append("")
    return "\n".join(lines)


def table() -> str:
    """The table of the README."""
    lines = ["| setting | environment variable | default | what it does |", "|---|---|---|---|"]
    for section, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            variable = f"GATEWAY_{section}__{name}".upper()
            default = "" if field.default in (None, "", []) else f"`{_default(field)}`"
            lines.append(f"| `{section}.{name}` | `{variable}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    return json.dumps(str(value) if isinstance(value, Path) else value)


if __name__ == "__main__":
    sys.stdout.write(yaml_text() if sys.argv[1] == "yaml" else table())
