"""The command lines of `gateway yank`, `unyank`, `delete` and `status`, and what is run for them."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from packaging.version import InvalidVersion, Version

from gateway.config.settings import Settings
from gateway.index.simple.names import is_project_name, normalize

_STATUSES = ("active", "archived", "quarantined", "deprecated")
COMMANDS = ("yank", "unyank", "delete", "status")


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
    status = commands.add_parser(
        "status",
        parents=[settings],
        help="say that a project is archived, quarantined or deprecated, or active again",
        description="Sets the status of a project (PEP 792), or tells it. An archived project takes no files, and a "
        "quarantined one does not offer those that it has either; deprecated is only shown.",
    )
    status.add_argument("project", type=_project, metavar="PROJECT")
    status.add_argument("status", nargs="?", choices=_STATUSES, metavar="STATUS", help=", ".join(_STATUSES))
    status.add_argument("--reason", default="", metavar="TEXT", help="why; people and installers see it")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    import asyncio
    import logging

    if arguments.command == "status":
        return _run_status(arguments, settings, write)
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


def _run_status(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    import asyncio
    import logging

    from gateway.cli.life_cycle.status import run as run_status
    from gateway.index.status.document import ACTIVE, ProjectStatus, in_a_line

    logging.disable()  # the command reports everything itself
    reason = in_a_line(arguments.reason)
    if reason and arguments.status in (None, ACTIVE):
        print("gateway status: --reason needs one of archived, quarantined, deprecated", file=sys.stderr)
        return 2
    status = ProjectStatus(arguments.status, reason) if arguments.status is not None else None
    return asyncio.run(run_status(settings, arguments.project, status, write))


def _project(text: str) -> str:
    name = normalize(text)
    if not is_project_name(name):
        raise argparse.ArgumentTypeError(f"{text!r} is no project's name")
    return name


def version(text: str) -> Version:
    """Raises ArgumentTypeError."""
    try:
        return Version(text)
    except InvalidVersion:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version (PEP 440)") from None
