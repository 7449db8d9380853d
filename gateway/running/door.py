"""Where requests come in, whatever answers them."""

from dataclasses import dataclass

from gateway.config.settings import ServerSettings
from gateway.pipeline import Pipeline
from gateway.running.graph import Switch
from gateway.server.certificates import Certificates
from gateway.server.connections.limits import Limits
from gateway.server.server import Listener, Server


@dataclass(frozen=True, slots=True)
class Door:
    """A listener that stays open when another configuration is put in force."""

    listener: Listener
    server: Server
    switch: Switch

    def turn(self, pipeline: Pipeline, settings: ServerSettings, most: int) -> None:
        """Requests that begin from now on are answered by this pipeline; new connections have these limits, and there
        are `most` at once."""
        self.switch.pipeline = pipeline
        self.server.limit(limits_of(settings), most, settings.max_connections_per_peer)


def limits_of(settings: ServerSettings) -> Limits:
    return Limits(
        header_timeout=settings.header_timeout,
        keepalive_timeout=settings.keepalive_timeout,
        send_timeout=settings.send_timeout,
        max_target_bytes=settings.max_target_bytes,
        max_header_bytes=settings.max_header_bytes,
    )


def certificates_of(settings: ServerSettings) -> Certificates | None:
    """None if TLS is not spoken. Raises ConfigError if the two files don't make a pair."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_cert, settings.tls_key)
