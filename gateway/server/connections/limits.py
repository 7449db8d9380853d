"""The limits of a client connection."""

from dataclasses import dataclass

REQUEST_LINE_BYTES = 64  # beside the target: method, version, spaces


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. `header_timeout` is for a whole request head, from its first byte or from the connection's
    start; `send_timeout` is how long a client may read nothing of what is ready for it.
    """

    header_timeout: float
    keepalive_timeout: float
    send_timeout: float
    max_target_bytes: int
    max_header_bytes: int

    @property
    def max_head_bytes(self) -> int:
        return REQUEST_LINE_BYTES + self.max_target_bytes + self.max_header_bytes
