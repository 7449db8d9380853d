"""The command lines of `gateway verify`, `reindex` and `gc`, and what is run for them."""

import argparse
from collections.abc import Callable
from typing import Any

from gateway.config.settings import Settings
from gateway.index.simple.names import normalize

COMMANDS = ("verify",)


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    verify = commands.add_parser(
        "verify",
        parents=[settings],
        help="compare all files in the storage with what is said of them",
        description="Reads each file, and compares it with the hashes that are stored with it, beside it, and by "
        "gateways. Looks for files that nobody needs, unfinished uploads, and stored pages that are wrong. Changes "
        "nothing. Exit code 0: all is well; 1: something is wrong; 2: the configuration can't be used; 3: something "
        "could not be looked at.",
    )
    _add_projects(verify)
    verify.add_argument("--quick", action="store_true", help="read no file: compare only what is said of them")
    verify.add_argument("--json", action="store_true", help="print each finding as a line of JSON")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    import asyncio
    import logging

    logging.disable()  # the command reports everything itself
    from gateway.cli.upkeep import verify

    wish = verify.Wish(frozenset(arguments.projects), quick=arguments.quick, as_json=arguments.json)
    return asyncio.run(verify.run(settings, wish, write))


def _add_projects(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "projects", nargs="*", type=normalize, metavar="PROJECT", help="only these; default: the whole index"
    )
