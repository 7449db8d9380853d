"""The command line of `gateway token`, and what is run for it."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from gateway.config.settings import Settings
from gateway.principal import Right

_MAX_DAYS = 3650


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    token = commands.add_parser("token", help="create, inspect or revoke a token")
    parts = token.add_subparsers(dest="part", required=True, metavar="COMMAND")
    create = parts.add_parser(
        "create",
        parents=[settings],
        help="print a new token; its id and end go to standard error",
        description="Prints a new token, signed with the first key of access.tokens that can sign. Its id and its end "
        "go to standard error. Without a right, the token is for read and fallback.",
    )
    create.add_argument("--subject", required=True, metavar="NAME", help="user whose rights the token has")
    create.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="PATTERN",
        help="project that the token is limited to, or a pattern like acme-*; repeatable",
    )
    for right in Right:
        create.add_argument(
            f"--{right.value}", dest="rights", action="append_const", const=right, help=f"allow {right.value}"
        )
    create.add_argument("--days", type=_days, required=True, metavar="N", help="days until the token expires")
    inspect = parts.add_parser(
        "inspect",
        parents=[settings],
        help="print what a token claims, and whether it is valid",
        description="Prints what a token claims, whether a configured key verifies it, and whether it has expired. "
        "The list of revoked tokens is not read. Exit code 0: valid; 1: not.",
    )
    inspect.add_argument(
        "token",
        nargs="?",
        metavar="TOKEN",
        help="other users of the machine see it in the list of processes: better leave it out, and give the token on "
        "standard input",
    )
    revoke = parts.add_parser("revoke", parents=[settings], help="put tokens on the list of revoked ones")
    revoke.add_argument(
        "tokens",
        nargs="*",
        metavar="ID|TOKEN",
        help="ids of tokens, or tokens; default: those on standard input, divided by spaces or lines",
    )


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    # Each command imports what it needs: `gateway health` runs every few seconds in a container.
    if arguments.part == "create":
        from gateway.cli.token.create import create

        rights = frozenset(arguments.rights or (Right.READ, Right.FALLBACK))
        return create(settings, arguments.subject, arguments.project, rights, arguments.days, write)
    if arguments.part == "inspect":
        from gateway.cli.token.inspect import inspect

        return inspect(settings, arguments.token or sys.stdin.readline().strip(), write)
    import asyncio
    import logging

    from gateway.cli.token.revoke import revoke
    from gateway.storage.stack import build_backend

    logging.disable()  # the command reports everything itself
    given = arguments.tokens or sys.stdin.read().split()
    return asyncio.run(revoke(settings, build_backend(settings), given, write))


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to {_MAX_DAYS}")
    return int(text)
