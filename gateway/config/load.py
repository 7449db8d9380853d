"""Where settings come from: flags beat the environment, which beats the file, which beats the defaults."""

import os
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path

from gateway.config.configuration import Configuration
from gateway.config.file_state import file_state
from gateway.config.settings import SECTIONS, Settings, SettingsFile
from gateway.errors import ConfigError, Problem

_ENV_PREFIX = "GATEWAY_"
_FILE_ENV = "GATEWAY_CONFIG"
_DEFAULT_FILES = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))
# The variables of the nginx setup that the gateway replaces.
_NGINX_NAMES = {
    "AWS_S3_BUCKET": "storage.bucket",
    "AWS_ACCESS_KEY": "storage.aws_access_key_id",
    "AWS_SECRET_KEY": "storage.aws_secret_access_key",
}


def load(
    flags: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """The settings of this process. See `load_with_sources`."""
    return load_with_sources(flags, config_file=config_file, environ=environ, cwd=cwd)[0]


def load_with_sources(
    flags: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[Settings, Mapping[str, str]]:
    """The settings of this process, and the source of each that is not at its default, by `section.key`, or
    `mounts.name.section.key`. `flags` maps such names to text; an empty variable counts as unset.

    The file is `config_file`, else $GATEWAY_CONFIG, else ./config.yaml, else /etc/gateway/config.yaml, else none.
    Raises ConfigError with every mistake found, each with its key and the place it came from.
    """
    environ = os.environ if environ is None else environ
    layers = Configuration()
    file = config_file or (Path(environ[_FILE_ENV]) if environ.get(_FILE_ENV) else None)
    if file is None:
        candidates = ((cwd or Path()) / candidate for candidate in _DEFAULT_FILES)
        file = next((candidate for candidate in candidates if _is_there(candidate)), None)
    if file is not None:
        state = file_state(file)
        layers.add_file(file)
    for name, key in _NGINX_NAMES.items():
        if environ.get(name):
            layers.add(key, environ[name], f"environment {name}")
    for name, text in sorted(environ.items()):
        section, separator, key = name.removeprefix(_ENV_PREFIX).partition("__")
        # Other GATEWAY_* variables are not ours: Kubernetes injects GATEWAY_PORT for a Service called gateway.
        if name.startswith(_ENV_PREFIX) and separator and text:
            key = key.replace("__", ".") if section == "MOUNTS" else key
            layers.add(f"{section.lower()}.{key.lower()}", text, f"environment {name}")
    for key, text in (flags or {}).items():
        layers.add(key, text, "command line")
    settings = layers.settings()
    if file is not None:
        again = partial(load, flags, config_file=file, environ=environ, cwd=cwd)
        for mount in (settings, *settings.mounts):
            if mount.access is not None:
                # One that shares the section of the top level follows that, whatever it gives itself by then.
                name = settings.mount.name if mount.shares_access else mount.mount.name
                sharing = frozenset(one.mount.name for one in settings.mounts if one.shares_access)
                mount.remember(SettingsFile(file, state, partial(_mount_of, again, name, sharing, file)))
    return settings, layers.named_sources


def _mount_of(read: Callable[[], Settings], name: str, sharing: Set[str], file: Path) -> Settings:
    """The settings of a mount. Raises ConfigError if one of those that share the section `access` has its own now."""
    settings = read()
    for mount in settings.mounts:
        if mount.mount.name in sharing and not mount.shares_access:
            message = "is new: restart, without which the mount has the one of the top level"
            raise ConfigError([Problem(f"mounts.{mount.mount.name}.access", str(file), message)])
    if settings.mount.name == name:
        return settings
    if (found := settings.named(name)) is None:
        raise ConfigError([Problem("mounts", str(file), f"has no mount {name} any more: restart to serve without it")])
    return found


def load_text(text: str, name: str) -> Settings:
    """The settings that a file with this text gives by itself. `name` stands for the file in messages. Raises
    ConfigError."""
    layers = Configuration()
    layers.add_text(name, text)
    return layers.settings()


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """Hints about variables that would be settings if they had two underscores, such as GATEWAY_STORAGE_BUCKET. They
    are no errors: Kubernetes injects GATEWAY_SERVER_PORT, an address, for a Service called gateway-server."""
    known = {f"{_ENV_PREFIX}{section}_{key}".upper(): (section, key) for section, key in _all_keys()}
    found = []
    for name, text in sorted(environ.items()):
        if name in known and text and "://" not in text:
            section, key = known[name]
            right = f"{_ENV_PREFIX}{section}__{key}".upper()
            found.append(f"the variable {name} is ignored; to set {section}.{key}, use two underscores: {right}")
    return found


def _all_keys() -> Iterator[tuple[str, str]]:
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            yield section, key


def _is_there(file: Path) -> bool:
    """A file that this user may not reach, or a dangling link, counts as there: it is refused rather than ignored."""
    try:
        file.lstat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True
