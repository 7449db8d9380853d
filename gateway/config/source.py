"""Where a process has its settings from, so that it can read them again."""

import json
import os
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gateway.config.configuration import Configuration
from gateway.config.file_state import FileState, file_state
from gateway.config.settings import Settings, SettingsFile
from gateway.errors import ConfigError, Problem

ENV_PREFIX = "GATEWAY_"
_FILE_ENV = "GATEWAY_CONFIG"
_DEFAULT_FILES = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))
# Most programs empty a file before they write it, and by the defaults everybody may read. (/dev/null is no such file.)
_EMPTY = "is empty: somebody may be writing it. A comment in it stands for the defaults"
# The variables of the nginx setup that the gateway replaces.
_NGINX_NAMES = {
    "AWS_S3_BUCKET": "storage.bucket",
    "AWS_ACCESS_KEY": "storage.aws_access_key_id",
    "AWS_SECRET_KEY": "storage.aws_secret_access_key",
}


@dataclass(frozen=True, slots=True)
class ConfigText:
    """What the configuration file had when it was read: its text, or why that can't be used (`fault`). `path` is empty
    if there is no file. `state` is the file's before it was read."""

    path: str = ""
    state: FileState = None
    text: str = ""
    fault: str = ""

    @property
    def is_file(self) -> bool:
        return bool(self.path)

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def decode(content: bytes) -> ConfigText:
    """What was encoded by another process of this gateway."""
    fields = json.loads(content)
    return ConfigText(**fields | {"state": tuple(fields["state"]) if fields["state"] is not None else None})


@dataclass(frozen=True)
class Source:
    """`flags` maps `section.key` to text. The file is `config_file`, else $GATEWAY_CONFIG, else ./config.yaml, else
    /etc/gateway/config.yaml, else none."""

    flags: Mapping[str, str]
    config_file: Path | None
    environ: Mapping[str, str]
    cwd: Path | None = None

    @classmethod
    def of(
        cls,
        flags: Mapping[str, str] | None = None,
        config_file: Path | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> "Source":
        return cls(flags or {}, config_file, os.environ if environ is None else environ, cwd)

    def of_file(self, found: ConfigText) -> "Source":
        """The same with the file that was found: if that is gone later, no other one takes its place."""
        return replace(self, config_file=Path(found.path)) if found.is_file else self

    def read(self) -> ConfigText:
        """What the file has now. Never fails."""
        file = self._file()
        if file is None:
            return ConfigText()
        path, state = str(file), file_state(file)
        try:
            text = file.read_text("utf-8")
            fault = _EMPTY if not text.strip() and file.is_file() else ""
            return ConfigText(path, state, text, fault)
        except OSError as error:
            return ConfigText(path, state, fault=f"can't be read: {error.strerror}")
        except UnicodeDecodeError:
            return ConfigText(path, state, fault="is not UTF-8 text")

    def settings(self, found: ConfigText, *, is_new: bool = False) -> tuple[Settings, Mapping[str, str]]:
        """The settings, with this text in the file, and the source of each that is not at its default. See SettingsFile
        for `is_new`. Raises ConfigError with every mistake found, each with its key and the place it came from."""
        layers = Configuration()
        if found.fault:
            layers.refuse_file(found.path, found.fault)
        elif found.is_file:
            layers.add_text(found.path, found.text)
        for name, key in _NGINX_NAMES.items():
            if self.environ.get(name):
                layers.add(key, self.environ[name], f"environment {name}")
        for name, text in sorted(self.environ.items()):
            section, separator, key = name.removeprefix(ENV_PREFIX).partition("__")
            # Other GATEWAY_* variables are not ours: Kubernetes injects GATEWAY_PORT for a Service called gateway.
            if name.startswith(ENV_PREFIX) and separator and text:
                key = key.replace("__", ".") if section == "MOUNTS" else key
                layers.add(f"{section.lower()}.{key.lower()}", text, f"environment {name}")
        for key, text in self.flags.items():
            layers.add(key, text, "command line")
        settings = layers.settings()
        if found.is_file:
            for mount in (settings, *settings.mounts):
                if mount.access is not None:
                    # One that shares the section of the top level follows that, whatever it gives itself by then.
                    name = settings.mount.name if mount.shares_access else mount.mount.name
                    sharing = frozenset(one.mount.name for one in settings.mounts if one.shares_access)
                    mount.remember(self._file_of(name, sharing, found, is_new=is_new))
        return settings, layers.named_sources

    def _file_of(self, mount: str, sharing: Set[str], found: ConfigText, *, is_new: bool) -> SettingsFile:
        same = self.of_file(found)

        def read() -> Settings:
            """Raises ConfigError if one of those that share the section `access` has its own now."""
            settings = same.settings(same.read())[0]
            for one in settings.mounts:
                if one.mount.name in sharing and not one.shares_access:
                    message = "is new: reload, without which the mount has the one of the top level"
                    raise ConfigError([Problem(f"mounts.{one.mount.name}.access", found.path, message)])
            if settings.mount.name == mount:
                return settings
            if (named := settings.named(mount)) is None:
                message = f"has no mount {mount} any more: reload to serve without it"
                raise ConfigError([Problem("mounts", found.path, message)])
            return named

        return SettingsFile(Path(found.path), found.state, read, is_new)

    def _file(self) -> Path | None:
        if self.config_file is not None:
            return self.config_file
        if self.environ.get(_FILE_ENV):
            return Path(self.environ[_FILE_ENV])
        candidates = ((self.cwd or Path()) / candidate for candidate in _DEFAULT_FILES)
        return next((candidate for candidate in candidates if _is_there(candidate)), None)


def _is_there(file: Path) -> bool:
    """A file that this user may not reach, or a dangling link, counts as there: it is refused rather than ignored."""
    try:
        file.lstat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True
