"""The command lines of `gateway yank`, `unyank` and `delete`, and what is run for them."""

import argparse
from collections.abc import Callable
from typing import Any

from packaging.version import InvalidVersion, Version

from gateway.config.settings import Settings
from gateway.index.simple.names import normalize

COMMANDS = ("yank", "unyank", "delete")


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    yank = commands.add_parser(
        "yank",
        parents=[settings],
        help="mark a release: installers choose it only where it is demanded",
        description="Marks all files of a release, or one, as yanked (PEP 592), by an object `.yanked` beside each.",
    )
    yank.add_argument("--reason", default="", metavar="TEXT", help="why; people and installers see it")
    unyank = commands.add_parser("unyank", parents=[settings], help="take the mark of `yank` away")
    delete = commands.add_parser(
        "delete",
        parents=[settings],
        help="delete a release for good",
        description="Deletes all files of a release, or one, and what describes them. A name does not come back with "
        "other bytes, unless the file is deleted with --forget.",
    )
    delete.add_argument("--forget", action="store_true", help="let other files have these names later")
    delete.add_argument("--yes", action="store_true", help="don't ask")
    for command in (yank, unyank, delete):
        command.add_argument("project", type=normalize, metavar="PROJECT")
        command.add_argument("version", type=version, metavar="VERSION")
        command.add_argument("--file", metavar="NAME", help="only this file of the release")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    import asyncio
    import logging

    from gateway.cli.life_cycle.run import run as run_change
    from gateway.publish.life_cycle.change import Action, Change

    logging.disable()  # the command reports everything itself
    change = Change(
        Action(arguments.command),
        arguments.project,
        arguments.version,
        file=arguments.file,
        reason=getattr(arguments, "reason", ""),
        forget=getattr(arguments, "forget", False),
    )
    return asyncio.run(run_change(settings, change, write, sure=getattr(arguments, "yes", True)))


def version(text: str) -> Version:
    """Raises ArgumentTypeError."""
    try:
        return Version(text)
    except InvalidVersion:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version (PEP 440)") from None
