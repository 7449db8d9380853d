"""The settings of an index that a command line names by its place."""

import json
from pathlib import Path

from gateway.cli.options.mount import with_storage
from gateway.config import load
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem


def settings_of(place: str, base: Settings, top: Settings, option: str) -> Settings:
    """`s3://bucket/prefix` and directories have all other settings from `base`, but no prefix of keys besides. The name
    of a mount of `top` stands for that mount, also if there is a path of that name: `./name` is the path. A file
    of settings stands for itself: variables of the environment are those of `base`. Raises ConfigError, which names
    `option`."""
    if place.startswith("s3://"):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
        said = _said({"backend": "s3", "bucket": bucket, "prefix": prefix}, place, option)
        return _with(base, backend="s3", bucket=said.storage.bucket, prefix=said.storage.prefix)
    if top.mounts and (mount := top.named(place)) is not None:
        return with_storage(mount, option)
    if Path(place).is_dir():
        said = _said({"backend": "file", "dir": place}, place, option)
        return _with(base, backend="file", bucket=None, dir=said.storage.dir, prefix="", prepend_hash=False)
    if not Path(place).is_file():
        message = "is neither s3://bucket/prefix, nor a directory or a file of settings that is there, nor a mount"
        raise ConfigError([Problem(option, "command line", message)])
    found = load.load({}, config_file=Path(place), environ={})
    if not found.has_default:
        message = f"the top level of {place} names no bucket and no directory, and its mounts can't be named here"
        raise ConfigError([Problem(option, "command line", message)])
    return found


def demand_different(source: Settings, destination: Settings) -> None:
    """Raises ConfigError."""
    if _identity(source) == _identity(destination):
        raise ConfigError([Problem("--to", "command line", "is where the release is already")])


def _said(storage: dict[str, str], place: str, option: str) -> Settings:
    try:
        return load.load_text(json.dumps({"storage": storage}), option)
    except ConfigError as error:
        reasons = "; ".join(problem.message for problem in error.problems)
        raise ConfigError([Problem(option, "command line", f"{place} can't be used: {reasons}")]) from error


def _with(base: Settings, **storage: object) -> Settings:
    changes = {
        "storage": base.storage.model_copy(update=storage),
        "rewrite": base.rewrite.model_copy(update={"add_prefix": ""}),
    }
    return base.model_copy(update=changes)


def _identity(settings: Settings) -> object:
    storage = settings.storage
    root = settings.rewrite.add_prefix.strip("/")
    if storage.resolved_backend == "file":
        return "file", storage.dir.resolve(), f"{storage.prefix}{root}".strip("/")
    return storage.endpoint_url, storage.bucket, f"{storage.prefix}{root}".strip("/")
