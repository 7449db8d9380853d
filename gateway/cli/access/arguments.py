"""The command line of `gateway access`, and what is run for it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.cli.options.mount import chosen, led_to, named
from gateway.config.settings import Settings


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    access = commands.add_parser("access", help="what concerns users and their rights")
    parts = access.add_subparsers(dest="part", required=True, metavar="COMMAND")
    parts.add_parser("hash", help="ask for a password, and print its hash for access.users")
    explain = parts.add_parser(
        "explain",
        parents=[settings],
        help="say what somebody may do with a project, and which rule decides",
        description="Says what a user may do with a project or a path, and which rule or default decides. Nobody is "
        "asked: neither the bucket, nor what knows users. Exit code 0, whatever the answer is; 2 for a question that "
        "can't be understood.",
    )
    explain.add_argument(
        "who",
        metavar="USER",
        help="name of a user; or everyone (nobody has logged in), authenticated (somebody has), group:NAME, token:ID, "
        "user:NAME",
    )
    explain.add_argument("what", metavar="PROJECT", help="name of a project, or a path as in a request: /docs/x")
    explain.add_argument(
        "--group",
        dest="groups",
        action="append",
        default=[],
        metavar="NAME",
        help="a group that the user has besides those in access.groups, such as LDAP or OIDC tell; repeatable",
    )
    test = parts.add_parser(
        "test",
        parents=[settings],
        help="check a file of expectations: who may do what",
        description="Checks a list in YAML of entries like {who: alice, project: acme-web, may: [read], may_not: "
        "[write]}. Nobody is asked: neither the bucket, nor what knows users. Exit code 0: all hold; 1: some do not; "
        "2: a mistake in the file or the configuration.",
    )
    test.add_argument("file", type=Path, metavar="FILE", help="the list: who, groups, project or path, may, may_not")


def run(arguments: argparse.Namespace, settings: Callable[[], Settings], write: Callable[[str], None]) -> int:
    """`settings` reads the configuration."""
    # Each command imports what it needs: `gateway health` runs every few seconds in a container.
    if arguments.part == "hash":
        from gateway.cli.access.hash import print_hash

        return print_hash(write, sys.stdin)
    if arguments.part == "test":
        from gateway.cli.access import test

        return test.run(chosen(settings(), arguments.mount), arguments.file, write)
    from gateway.cli.access.explain import explain_at

    top, what = settings(), arguments.what
    mount = led_to(top, arguments.mount, what) if what.startswith("/") else named(top, arguments.mount)
    return explain_at(top, mount, arguments.who, what, arguments.groups, write)
