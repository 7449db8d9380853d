"""The command line of `gateway import`, and what is run for it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    command = commands.add_parser("import", help="turn the configuration of another program into one of the gateway")
    programs = command.add_subparsers(dest="program", required=True, metavar="PROGRAM")
    pypicloud = programs.add_parser(
        "pypicloud",
        help="print pypicloud's users, rights, storage and fallback as YAML; what differs goes to standard error",
        description="Reads pypicloud's .ini file, or the JSON that ppc-export writes, and prints a configuration on "
        "standard output. What means something else here goes to standard error. No file is changed. Exit code 2: "
        "the file can't be used.",
    )
    pypicloud.add_argument("file", type=Path, metavar="FILE", help="the .ini file, or the JSON")


def run(arguments: argparse.Namespace, write: Callable[[str], None]) -> int:
    # Imported only for this command: `gateway health` runs every few seconds in a container.
    from gateway.cli.pypicloud.run import run

    return run(arguments.file, write, to_terminal=bool(sys.stdout) and sys.stdout.isatty())
