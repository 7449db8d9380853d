"""The command lines of `gateway verify`, `reindex` and `gc`, and what is run for them."""

import argparse
import re
from collections.abc import Callable
from typing import Any

from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem
from gateway.index.simple.names import normalize

COMMANDS = ("verify", "reindex", "gc")
_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_UNIT_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


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
    reindex = commands.add_parser(
        "reindex",
        parents=[settings],
        help="have gateways list the storage anew, and find out anew what they share of its files",
        description="For after changes that gateways can't see by themselves. Looks at each file, stores anew what "
        "gateways share of it (index.share_metadata), and tells them by the beacon to list the projects. Exit code 0: "
        "all is done; 1: something failed; 2: the configuration can't be used.",
    )
    _add_projects(reindex)
    reindex.add_argument("--json", action="store_true", help="print the outcome of each project as a line of JSON")
    gc = commands.add_parser(
        "gc",
        parents=[settings],
        help="remove what nobody needs any more: unfinished uploads, leftovers, old pre-releases",
        description="Says what would be removed, and removes it with --yes: uploads that have not ended, files that "
        "describe one which is not there, what a try of the storage has left, and, with --keep-pre-releases, old "
        "pre-releases. It can be run again at any time. Exit code 0: all is done; 1: something failed; 2: the "
        "configuration can't be used.",
    )
    gc.add_argument("--yes", action="store_true", help="remove them; without it, they are only named")
    gc.add_argument(
        "--leftover-age",
        type=_seconds,
        default=_UNIT_SECONDS["d"],
        metavar="AGE",
        help="how old uploads and leftovers are at least, such as 6h or 2d (default: 24h)",
    )
    gc.add_argument(
        "--keep-pre-releases", type=_count, metavar="N", help="remove all but the N newest pre-releases of each project"
    )
    gc.add_argument("--older-than", type=_seconds, metavar="AGE", help="only pre-releases that are older, such as 90d")
    gc.add_argument("--json", action="store_true", help="print each as a line of JSON")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    import asyncio
    import logging

    logging.disable()  # the command reports everything itself
    if arguments.command == "gc":
        return asyncio.run(_gc(arguments, settings, write))
    if arguments.command == "reindex":
        from gateway.cli.upkeep import reindex

        projects = frozenset(arguments.projects)
        return asyncio.run(reindex.run(settings, reindex.Wish(projects, as_json=arguments.json), write))
    from gateway.cli.upkeep import verify

    wish = verify.Wish(frozenset(arguments.projects), quick=arguments.quick, as_json=arguments.json)
    return asyncio.run(verify.run(settings, wish, write))


def _add_projects(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "projects", nargs="*", type=normalize, metavar="PROJECT", help="only these; default: the whole index"
    )


async def _gc(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    from gateway.cli.upkeep import gc
    from gateway.publish.upkeep.garbage import Policy

    if arguments.older_than is not None and arguments.keep_pre_releases is None:
        raise ConfigError([Problem("--older-than", "command line", "needs --keep-pre-releases")])
    policy = Policy(arguments.leftover_age, arguments.keep_pre_releases, arguments.older_than or 0.0)
    return await gc.run(settings, gc.Wish(policy, sure=arguments.yes, as_json=arguments.json), write)


def _seconds(text: str) -> float:
    match = _AGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age: give hours, days or weeks, as 12h, 90d or 8w")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def _count(text: str) -> int:
    if not text.isdecimal() or not text.isascii():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)
