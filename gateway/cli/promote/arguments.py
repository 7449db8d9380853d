"""The command line of `gateway promote`, and what is run for it."""

import argparse
from collections.abc import Callable
from typing import Any

from gateway.cli.life_cycle.arguments import version
from gateway.config.settings import Settings
from gateway.index.simple.names import normalize

_PLACE = "s3://BUCKET/PREFIX, the name of a mount, a directory, or a file of settings"


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    promote = commands.add_parser(
        "promote",
        parents=[settings],
        help="copy a release to another mount, prefix, bucket, or directory",
        description="Copies all files of a release, or one, and what describes them; within one server without their "
        "bytes passing through here. A file that is there already, with the same bytes, is no error. Exit code 0: all "
        "are there; 4: another file has one of the names; 1: something else failed; 2: the configuration can't be "
        "used.",
    )
    promote.add_argument("project", type=normalize, metavar="PROJECT")
    promote.add_argument("version", type=version, metavar="VERSION")
    promote.add_argument("--file", metavar="NAME", help="only this file of the release")
    promote.add_argument("--to", required=True, metavar="PLACE", help=f"where to: {_PLACE}")
    promote.add_argument(
        "--from", dest="source", metavar="PLACE", help="where from, in the same forms; default: the mount that is meant"
    )
    promote.add_argument("--json", action="store_true", help="print the outcome of each file as a line of JSON")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    """`settings` are those of the top level."""
    import asyncio
    import logging

    from gateway.cli.promote.run import Wish
    from gateway.cli.promote.run import run as run_wish

    logging.disable()  # the command reports everything itself
    wish = Wish(
        arguments.project,
        arguments.version,
        arguments.to,
        source=arguments.source,
        file=arguments.file,
        as_json=arguments.json,
        mount=arguments.mount,
    )
    return asyncio.run(run_wish(settings, wish, write))
