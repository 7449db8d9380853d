"""The `gateway` command."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO, cast

from gateway import __version__
from gateway.cli.access import arguments as access
from gateway.cli.life_cycle import arguments as life_cycle
from gateway.cli.options import common
from gateway.cli.options.mount import chosen, led_to, named, with_storage
from gateway.cli.policy import arguments as policy
from gateway.cli.promote import arguments as promote
from gateway.cli.publish import arguments as publish
from gateway.cli.pypicloud import arguments as pypicloud
from gateway.cli.terminal import shown
from gateway.cli.token import arguments as token
from gateway.cli.upkeep import arguments as upkeep
from gateway.config import load
from gateway.config.settings import Settings
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.ops import uncaught
from gateway.ops.output import keep_standard_descriptors


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 success, 1 failure, 2 invalid configuration or command line."""
    keep_standard_descriptors()
    if isinstance(sys.stdout, TextIOWrapper):  # it has the encoding of the locale, which may lack some characters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = _parsed(argv)
    finally:  # argparse exits after it has printed help
        _flush()
    try:
        return _run(arguments)
    except _OutputError as error:
        # A closed pipe needs no message: `gateway check | head -1`.
        if not isinstance(error.__cause__, BrokenPipeError):
            print(f"gateway: standard output can't be written: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"gateway: the configuration can't be used (mistakes: {len(error.problems)}):", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _OutputError(Exception):
    """Standard output can't be written."""


def _write(line: str) -> None:
    try:
        print(shown(line), flush=True)
    except OSError as error:
        _flush()
        raise _OutputError(error.strerror) from error


def _flush() -> None:
    """Drops output that can't be written: the interpreter would try again as it ends, and print its own message."""
    stdout = cast(TextIO | None, sys.stdout)  # None if it was closed when the process began
    try:
        if stdout is not None:
            stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    top = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        _complete(top)
    arguments, unknown = top.parse_known_args(argv)
    if unknown:  # shown without values: `--aws-secret-access-key=…` may be one
        names = [text.partition("=")[0] for text in unknown if text.startswith("-")]
        top.error(f"unknown: {' '.join(names) or 'an argument too many'}; see gateway {arguments.command} --help")
    return arguments


def _complete(top: argparse.ArgumentParser) -> None:
    """Gives the shell its completions, and ends the process."""
    try:
        import argcomplete
    except ImportError:
        sys.exit(1)
    argcomplete.autocomplete(top)


def _run(arguments: argparse.Namespace) -> int:
    # Each command imports what it needs: `gateway health` runs every few seconds in a container.
    if arguments.command == "health":
        from gateway.cli import health

        return health.health(arguments.url, lambda: _settings(arguments))
    if arguments.command == "demo":
        from gateway.cli.demo.run import run as run_demo

        return run_demo(arguments.port)
    if arguments.command == "access":
        return access.run(arguments, lambda: _settings(arguments), _write)
    if arguments.command == "import":
        return pypicloud.run(arguments, _write)
    if arguments.command == "init":
        from gateway.cli import init

        return init.run(arguments.file, common.overrides(arguments))
    if arguments.command == "config":
        from gateway.config import text

        found, sources = load.load_with_sources(common.overrides(arguments), config_file=arguments.config)
        for_all = arguments.mount is None
        _write(text.in_force(found, sources) if for_all else text.of_mount(named(found, arguments.mount), sources))
        return 0
    source = Source.of(common.overrides(arguments), arguments.config)
    content = source.read()
    settings, _ = source.settings(content)
    if arguments.command == "token":
        return token.run(arguments, settings, _write)
    if arguments.command == "publish":
        return publish.run(arguments, settings, _write)
    if arguments.command in life_cycle.COMMANDS:
        return life_cycle.run(arguments, chosen(settings, arguments.mount), _write)
    if arguments.command == "promote":
        return promote.run(arguments, settings, _write)
    if arguments.command == "policy":
        return policy.run(arguments, chosen(settings, arguments.mount), _write)
    if arguments.command in upkeep.COMMANDS:
        return upkeep.run(arguments, chosen(settings, arguments.mount), _write)
    hints = load.near_misses(os.environ)
    if arguments.command == "check":
        import asyncio
        import logging

        from gateway.cli.check.run import run as run_check

        logging.disable()  # the check reports everything itself
        for hint in hints:
            _write(f"note  {hint}")
        return asyncio.run(run_check(settings, _write, writing=arguments.write, mount=arguments.mount))
    if arguments.command == "url":
        return _url(with_storage(led_to(settings, arguments.mount, arguments.path)), arguments)
    hung_up = _take_signals()
    uncaught.send_to_log()
    wait = _ask_ahead(settings)
    if settings.server.workers > 1:
        from gateway.cli.workers import run
    else:
        from gateway.cli.serve import run
    return run(settings, hints, source=source.of_file(content), wait=wait, hung_up=hung_up)


def _ask_ahead(settings: Settings) -> Callable[[], object]:
    """Has another process find out what the storage needs; returns a function that waits for it."""
    storages = [one.storage for one in settings.all_mounts if one.storage.resolved_backend in ("s3", "cloudfront")]
    if not storages:
        return lambda: None
    from gateway.storage.s3 import ahead

    return ahead.ask(*storages)


def _take_signals() -> Callable[[], bool]:
    """Has signals do from now on what they do once the server runs, which takes them over. Without a handler, the first
    process of a container would not even get SIGTERM. Returns what tells whether SIGHUP has come: the file may have
    changed since it was read."""
    came: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(0))
    # No SIG_IGN: programs that find out credentials would inherit it.
    signal.signal(signal.SIGHUP, lambda number, frame: came.append(number))
    return lambda: bool(came)


def _url(settings: Settings, arguments: argparse.Namespace) -> int:
    import asyncio
    import logging

    from gateway.cli import url
    from gateway.storage.stack import build_storage

    logging.disable()
    run = url.run(
        settings,
        build_storage(settings),
        arguments.path,
        method=arguments.method,
        expires=arguments.expires,
        write=_write,
        note=lambda text: print(text, file=sys.stderr),
    )
    return asyncio.run(run)


def _settings(arguments: argparse.Namespace) -> Settings:
    return load.load(common.overrides(arguments), config_file=arguments.config)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="gateway", allow_abbrev=False, description="A signing reverse proxy in front of an S3 bucket."
    )
    top.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    settings, mount = common.of_all(), common.of_one_mount()
    commands.add_parser("serve", parents=[settings], help="serve the bucket or the directory")
    check = commands.add_parser(
        "check", parents=[mount], help="try the configuration against the storage, and say what is wrong"
    )
    check.add_argument(
        "--write", action="store_true", help="also write below .gateway/probe/: whether one of several writers wins"
    )
    init = commands.add_parser("init", parents=[common.shortcuts()], help="write a configuration file to start with")
    init.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="file to write (default: config.yaml)",
    )
    commands.add_parser(
        "config", parents=[mount], help="print the settings in force, without secrets, and the source of each"
    )
    url = commands.add_parser("url", parents=[mount], help="print the URL that a client would be redirected to")
    url.add_argument("path", metavar="PATH", help="path as in a request: /arrow/arrow-0.12.1.tar.gz")
    url.add_argument("--method", choices=["GET", "HEAD"], default="GET", help="method that the URL is signed for")
    url.add_argument("--expires", type=_seconds, metavar="SECONDS", help="lifetime; default: storage.expire_after")
    health = commands.add_parser("health", parents=[settings], help="exit 0 if the gateway answers /health")
    health.add_argument("url", nargs="?", metavar="URL", help="URL to ask; default: the address in the settings")
    access.add(commands, mount)
    token.add(commands, mount)
    publish.add(commands, mount)
    life_cycle.add(commands, mount)
    promote.add(commands, mount)
    policy.add(commands, mount)
    upkeep.add(commands, mount)
    pypicloud.add(commands)
    demo = commands.add_parser("demo", help="try it: an embedded S3 server, sample projects, and a gateway in front")
    demo.add_argument("--port", type=int, default=8080, metavar="PORT", help="port to listen on (default: 8080)")
    return top


def _seconds(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 604800:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 604800 (7 days)")
    return int(text)
