"""Where settings come from: flags beat the environment, which beats the file, which beats the defaults."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.config.configuration import Configuration
from gateway.config.settings import SECTIONS, Settings
from gateway.config.source import ENV_PREFIX, Source


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
    source = Source.of(flags, config_file, environ, cwd)
    return source.settings(source.read())


def load_text(text: str, name: str) -> Settings:
    """The settings that a file with this text gives by itself. `name` stands for the file in messages. Raises
    ConfigError."""
    layers = Configuration()
    layers.add_text(name, text)
    return layers.settings()


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """Hints about variables that would be settings if they had two underscores, such as GATEWAY_STORAGE_BUCKET. They
    are no errors: Kubernetes injects GATEWAY_SERVER_PORT, an address, for a Service called gateway-server."""
    known = {f"{ENV_PREFIX}{section}_{key}".upper(): (section, key) for section, key in _all_keys()}
    found = []
    for name, text in sorted(environ.items()):
        if name in known and text and "://" not in text:
            section, key = known[name]
            right = f"{ENV_PREFIX}{section}__{key}".upper()
            found.append(f"the variable {name} is ignored; to set {section}.{key}, use two underscores: {right}")
    return found


def _all_keys() -> Iterator[tuple[str, str]]:
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            yield section, key
