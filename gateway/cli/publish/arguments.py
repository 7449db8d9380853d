"""The command line of `gateway publish`, and what is run for it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.cli.options.mount import chosen
from gateway.config.settings import Settings


def add(commands: Any, settings: argparse.ArgumentParser) -> None:
    """`settings` has the arguments that all commands take."""
    publish = commands.add_parser(
        "publish",
        parents=[settings],
        help="publish wheels and sdists: to a gateway, or straight into the storage",
        description="Looks at all files before it sends the first, and sends wheels before sdists. Without --to, the "
        "files go into the storage of the configuration. A file that is there already, with the same bytes, is no "
        "error. Exit code 0: all are published; 4: another file has one of the names; 1: something else failed.",
    )
    publish.add_argument("files", nargs="*", type=Path, metavar="FILE", help="wheels (.whl) and sdists (.tar.gz)")
    publish.add_argument(
        "--build",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="DIRECTORY",
        help="build a wheel and an sdist of the project in a directory (default: this one) by python -m build, and "
        "publish these",
    )
    publish.add_argument("--to", metavar="URL", help="where a gateway takes uploads, such as https://host/legacy/")
    publish.add_argument(
        "--user", metavar="NAME", help="user; the password is read from GATEWAY_PASSWORD, or from standard input"
    )
    publish.add_argument("--skip-existing", action="store_true", help="pass over names that another file has")
    publish.add_argument("--dry-run", action="store_true", help="look at the files, and send nothing")
    publish.add_argument(
        "--attestations",
        action="store_true",
        help="send the attestations beside each file too, NAME.publish.attestation and the like (PEP 740); needs --to",
    )
    publish.add_argument("--json", action="store_true", help="print the outcome of each file as a line of JSON")


def run(arguments: argparse.Namespace, settings: Settings, write: Callable[[str], None]) -> int:
    """`settings` are those of the top level."""
    import asyncio
    import logging

    from gateway.cli.publish.built import BuildError, built
    from gateway.cli.publish.run import Wish, publish

    if not arguments.files and arguments.build is None:
        print("gateway publish: give files, or --build", file=sys.stderr)
        return 2
    if arguments.attestations and arguments.to is None:
        print("gateway publish: --attestations needs --to: only a gateway knows whose they have to be", file=sys.stderr)
        return 2
    if arguments.user is not None and "@" in (arguments.to or "").partition("//")[2].partition("/")[0]:
        print("gateway publish: --to names a user already: give one, there or by --user", file=sys.stderr)
        return 2
    if arguments.to is None or arguments.mount is not None:
        settings = chosen(settings, arguments.mount)
    logging.disable()  # the command reports everything itself
    try:
        with built(arguments.build) as files:
            wish = Wish(
                [*arguments.files, *files],
                arguments.to,
                arguments.user,
                skip_existing=arguments.skip_existing,
                dry_run=arguments.dry_run,
                as_json=arguments.json,
                attestations=arguments.attestations,
            )
            return asyncio.run(publish(settings, wish, write))
    except BuildError as error:
        print(f"gateway publish: {error}", file=sys.stderr)
        return 1
