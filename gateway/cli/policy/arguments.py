"""The command line of `gateway policy`, and what is run for it."""

import argparse
import getpass
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from gateway.config.policy.values import line, moment
from gateway.config.settings import Settings
from gateway.config.types import Refused
from gateway.index.simple.names import is_project_name, normalize

_SPAN = re.compile(r"([0-9]{1,4})([dw])")
_DAYS = {"d": 1, "w": 7}


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    policy = commands.add_parser("policy", help="what concerns the files of the other index")
    parts = policy.add_subparsers(dest="part", required=True, metavar="COMMAND")
    allow = parts.add_parser(
        "allow",
        parents=[settings],
        help="let a release in whatever the rules say",
        description="Stores an exception below .gateway/ in the storage. All gateways heed it within seconds.",
    )
    allow.add_argument("release", type=_release, metavar="PROJECT[==VERSION]")
    allow.add_argument("--until", type=_until, required=True, metavar="DATE", help="like 2027-01-01, or 14d from now")
    allow.add_argument("--reason", type=_line, required=True, metavar="TEXT", help="why; the pages for people show it")
    allow.add_argument("--author", type=_line, default=None, metavar="NAME", help="who answers for it; unset: you")
    revoke = parts.add_parser("revoke", parents=[settings], help="take an exception back")
    revoke.add_argument("release", type=_release, metavar="PROJECT[==VERSION]")
    parts.add_parser("list", parents=[settings], help="list the exceptions")
    explain = parts.add_parser(
        "explain",
        parents=[settings],
        help="say what the policy decides about a project's files, and why",
        description="Asks the storage and the other index as a gateway would. Exit code 0, whatever the answer is.",
    )
    explain.add_argument("release", type=_release, metavar="PROJECT[==VERSION]")
    explain.add_argument("version", type=_version, nargs="?", metavar="VERSION", help="as with ==")
    check = parts.add_parser(
        "check",
        parents=[settings],
        help="say whether everything in a lock file may come in",
        description="Reads requirements.txt, pylock.toml, uv.lock or poetry.lock. Exit code 0: everything may come in; "
        "1: something may not; 2: the file can't be understood.",
    )
    check.add_argument("file", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    import asyncio
    import logging

    logging.disable()  # the command reports everything itself
    if arguments.part == "check":
        from gateway.cli.policy.check import check

        return asyncio.run(check(settings, arguments.file, write))
    if arguments.part == "explain":
        from gateway.cli.policy.explain import explain

        name, versions = arguments.release
        version = arguments.version or (Version(versions.removeprefix("==")) if versions else None)
        return asyncio.run(explain(settings, name, version, write))
    from gateway.cli.policy import change
    from gateway.policy.exceptions import PolicyException

    if arguments.part == "list":
        return asyncio.run(change.listed(settings, write))
    name, versions = arguments.release
    if arguments.part == "revoke":
        return asyncio.run(change.revoke(settings, f"{name}{versions}", write))
    author = arguments.author or _user()
    one = PolicyException(name, versions, arguments.until, arguments.reason, author, time.time())
    return asyncio.run(change.allow(settings, one, write))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def _release(text: str) -> tuple[str, str]:
    """The project and the specifier of its versions. Raises ArgumentTypeError."""
    name, equals, version = text.partition("==")
    return _project(name), f"=={_version(version)}" if equals else ""


def _project(text: str) -> str:
    name = normalize(text)
    if not is_project_name(name):
        raise argparse.ArgumentTypeError(f"{text!r} is no project's name")
    return name


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version (PEP 440)") from None


def _until(text: str) -> float:
    if (span := _SPAN.fullmatch(text)) is not None:
        return time.time() + int(span[1]) * _DAYS[span[2]] * 86400
    try:
        until = moment(text)
    except Refused as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}, or a span like 14d") from None
    if until <= time.time():
        raise argparse.ArgumentTypeError(f"{text!r} is over")
    return until


def _line(text: str) -> str:
    try:
        return line(text)
    except Refused as error:
        raise argparse.ArgumentTypeError(str(error)) from None
