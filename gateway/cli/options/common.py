"""The options by which commands get their settings."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.cli.options.mount import OPTION
from gateway.config import load
from gateway.config.mounts.settings import SECTIONS_OF_MOUNTS
from gateway.config.settings import SECTIONS
from gateway.errors import ConfigError, Problem

_SHORTCUTS = {"host": "server.host", "port": "server.port", "bucket": "storage.bucket", "dir": "storage.dir"}
_MOUNTS = "mounts."


def shortcuts() -> argparse.ArgumentParser:
    """Those for which nothing has to be configured yet."""
    return _shortcuts()[0]


def of_all() -> argparse.ArgumentParser:
    """Those of commands that have to do with all mounts, or with none."""
    parser, _ = _shortcuts()
    _add_settings(parser)
    return parser


def of_one_mount() -> argparse.ArgumentParser:
    """Those of commands that have to do with one mount."""
    parser, place = _shortcuts()
    mount: Any = place.add_argument(
        OPTION, metavar="NAME", help="the mount that is meant; default: the top level of the settings"
    )
    mount.completer = _mount_names
    _add_settings(parser)
    return parser


def overrides(arguments: argparse.Namespace) -> dict[str, str]:
    """What the command line sets, by `section.key`. Raises ConfigError."""
    found = dict(getattr(arguments, "set", []))
    for flag, key in _SHORTCUTS.items():
        if (value := getattr(arguments, flag)) is not None:
            found[key] = value
    if arguments.dir is not None:
        for key in ("storage.backend", "storage.bucket"):
            if key in found:
                raise ConfigError([Problem(key, "command line", "can't be set together with --dir; leave one out")])
        found["storage.backend"] = "file"  # whatever bucket the environment or the file names
    return found


def _shortcuts() -> tuple[argparse.ArgumentParser, Any]:
    """The second is a group of which one option at most can be given."""
    parser = argparse.ArgumentParser(add_help=False)
    for flag in ("host", "port"):
        parser.add_argument(f"--{flag}", metavar=flag.upper(), help=f"sets {_SHORTCUTS[flag]}")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--bucket", metavar="BUCKET", help="sets storage.bucket")
    place.add_argument("--dir", metavar="DIR", help="serve this directory, whatever bucket is configured")
    return parser, place


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings")
    assignment: Any = parser.add_argument(
        "--set",
        type=_assignment,
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="one setting; repeatable",
    )
    assignment.completer = _setting_names


def _mount_names(parsed_args: argparse.Namespace | None = None, **_: Any) -> list[str]:
    try:
        settings = load.load(config_file=getattr(parsed_args, "config", None))
    except ConfigError:
        return []
    return [mount.mount.name for mount in settings.all_mounts]


def _setting_names(prefix: str = "", parsed_args: argparse.Namespace | None = None, **_: Any) -> list[str]:
    if not prefix.startswith(_MOUNTS):
        return [f"{name}=" for name in _keys_of(SECTIONS)]
    names = _mount_names(parsed_args)
    return [f"{_MOUNTS}{name}.{key}=" for name in names for key in _keys_of(SECTIONS_OF_MOUNTS)]


def _keys_of(sections: Iterable[str]) -> list[str]:
    return [f"{section}.{key}" for section in sections for key in SECTIONS[section].model_fields]


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError("must be SECTION.KEY=VALUE")
    return key, value
