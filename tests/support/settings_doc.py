"""config.yaml and the manual's page of settings, made from the settings themselves.

Usage: python -m tests.support.settings_doc (writes both)
"""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from gateway.config.mounts.settings import SECTIONS_OF_MOUNTS, MountSettings
from gateway.config.section import Section
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS
from gateway.config.text import value_text

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "pages" / "settings.md"
MARK, END_MARK = "<!-- settings -->\n", "<!-- /settings -->"
_EXAMPLE = {"name": "team-b", "path": "/team-b"}
_GIVES = "Sections that it may give; what it does not give is as at the top level"
_HEAD = """\
# Every setting of the gateway, at its default. Times are in seconds, sizes
# in bytes or like 64MB (64,000,000 bytes), 512KiB (524,288).
# Command-line flags beat the environment (GATEWAY_STORAGE__BUCKET), which beats this file.
# null means: not set.
"""


def yaml_text() -> str:
    """What config.yaml at the root of the repository has to be."""
    lines = [_HEAD]
    for section, model in SECTIONS.items():
        start = "# " if section in OPTIONAL_SECTIONS else ""
        lines.append(f"{start}{section}:  # {(model.__doc__ or '').rstrip('.')}")
        for name, field in model.model_fields.items():
            lines.append(f"{start}  # {field.description}")
            lines.append(f"{start}  {name}: {value_text(field, field.default)}")
        lines.append("")
    return "\n".join([*lines, *_mount_in_yaml(), ""])


def _mount_in_yaml() -> list[str]:
    """The list `mounts`, as a comment, with one mount that is an example."""
    lines = ["# mounts:  # Further indexes and sites, each at a path or a host name of its own. An example:"]
    for number, (name, field) in enumerate(MountSettings.model_fields.items()):
        value = value_text(field, _EXAMPLE.get(name, field.default))
        lines += [f"#   {'-' if number == 0 else ' '} {name}: {value}  # {field.description}"]
    return [*lines, f"#     storage: {{bucket: team-b-pypi}}  # Or {', '.join(SECTIONS_OF_MOUNTS[1:])}"]


def reference() -> str:
    """What docs/pages/settings.md has between its markers: a table for each section."""
    lines = []
    for section, model in SECTIONS.items():
        lines += [f"## {section}", "", model.__doc__ or "", "", "| setting | default | what it does |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            variable = f"GATEWAY_{section}__{name}".upper()
            default = "" if field.default in (None, "", []) else f"`{value_text(field, field.default)}`"
            lines.append(f"| `{section}.{name}`<br>`{variable}` | {default} | {field.description} |")
        lines.append("")
        lines += _of_parts(section, model)
    return "\n".join([*lines, *_mounts(), ""])


def _mounts() -> list[str]:
    head = ["## mounts", "", "A list of further indexes and sites: see [Mounts](mounts.md). Each needs a name.", ""]
    rows = [f"| `{key}` |  | {field.description} |" for key, field in MountSettings.model_fields.items()]
    sections = ", ".join(f"`{section}`" for section in SECTIONS_OF_MOUNTS)
    return [*head, "| key | default | what it does |", "|---|---|---|", *rows, f"| {sections} |  | {_GIVES} |"]


def _of_parts(name: str, model: type[Section]) -> list[str]:
    """A table for each setting of `model` that has keys of its own, and for those of its keys that have."""
    lines = []
    for key, field in model.model_fields.items():
        for inner in _sections_of(field.annotation):
            head = [
                f"### {name}.{key}",
                "",
                inner.__doc__ or "",
                "",
                "| key | default | what it does |",
                "|---|---|---|",
            ]
            lines += [*head, *(_row(part, its) for part, its in inner.model_fields.items()), ""]
            lines += _of_parts(f"{name}.{key}", inner)
    return lines


def _sections_of(annotation: Any) -> list[type[Section]]:
    """The sections that a setting consists of, if it has keys of its own."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in getattr(annotation, "__args__", ()) for section in _sections_of(part)]


def _row(key: str, field: FieldInfo) -> str:
    default = "" if field.is_required() or field.default in (None, "", []) else f"`{value_text(field, field.default)}`"
    return f"| `{key}` | {default} | {field.description} |"


def main() -> None:
    """Writes both files anew."""
    (_ROOT / "config.yaml").write_text(yaml_text())
    before, _, rest = PAGE.read_text().partition(MARK)
    PAGE.write_text(before + MARK + reference() + END_MARK + rest.partition(END_MARK)[2])


if __name__ == "__main__":
    main()
