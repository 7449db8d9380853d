"""Which settings hold until a restart, whatever a reload reads."""

from gateway.config.settings import Settings

# Sockets are opened once, as is the exporter of traces; gunicorn knows the number of workers, and how long they may
# take to end.
_HELD = {
    "server": ("host", "port", "unix_socket", "workers", "shutdown_grace"),
    "ops": ("port",),
    "tracing": ("enabled", "endpoint", "sample_ratio", "service_name"),
}
_TLS = ("tls_cert", "tls_key")


def as_running(settings: Settings, running: Settings) -> tuple[Settings, list[str]]:
    """The settings, but for those that hold until a restart, which are as `running` ones; and the names of those that
    differ."""
    held = {section: {key: getattr(getattr(running, section), key) for key in keys} for section, keys in _HELD.items()}
    if (settings.server.tls_cert is None) != (running.server.tls_cert is None):  # a socket speaks TLS, or does not
        held["server"] |= {key: getattr(running.server, key) for key in _TLS}
    update, waiting = {}, []
    for section, values in held.items():
        found = getattr(settings, section)
        waiting += [f"{section}.{key}" for key, value in values.items() if getattr(found, key) != value]
        update[section] = found.model_copy(update=values)
    return settings.model_copy(update=update), waiting
