"""What is known of the beacon, and when it is read again. Pure.

| the gateway                                       | reads the beacon          |
|---------------------------------------------------|---------------------------|
| is used: it may answer from listings that it has  | each second               |
| is not used: it would list anew before it answers | every half minute         |
| could not read it                                 | after pauses up to 10 s   |
| found something that is no beacon                 | every half minute         |
| is not permitted to read it                       | once a minute             |
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from gateway.publish.beacon.ring import Change, Ring

_USED_SECONDS = 1.0
# With shorter listings too, a gateway counts as used for a minute after its last client.
_LEAST_USED_SECONDS = 60.0
_UNUSED_SECONDS = 30.0
# Timers are a little late, now and then, and a second is never skipped for that.
_LATE_SECONDS = 0.1
_MAX_FAILED_SECONDS = 10.0
_GARBAGE_SECONDS = 30.0
_DENIED_SECONDS = 60.0

# A position that no ring has.
_UNREADABLE = "?"


@dataclass(frozen=True, slots=True)
class Watch:
    """`position` is the newest change that is known; None if nothing has been learnt yet. `etag` is that of the beacon
    as it was read. Times are of a monotonic clock, in seconds: when a client last asked for something, and when the
    beacon was last read. `pause` is how long it is not read again because of what was found."""

    position: str | None = None
    etag: str | None = None
    asked_at: float = float("-inf")
    read_at: float = float("-inf")
    pause: float = 0.0

    def due(self, now: float, listing_seconds: float) -> bool:
        """Whether it is time to read the beacon. `listing_seconds` is how long the gateway uses a listing: so long
        after its last client, it has none that it would use."""
        used = now - self.asked_at < max(listing_seconds, _LEAST_USED_SECONDS)
        interval = _USED_SECONDS if used else _UNUSED_SECONDS
        return now - self.read_at >= max(interval, self.pause) - _LATE_SECONDS

    def asked(self, now: float) -> "Watch":
        return replace(self, asked_at=now)

    def unchanged(self, now: float) -> "Watch":
        return replace(self, read_at=now, pause=_GARBAGE_SECONDS if self.position == _UNREADABLE else 0.0)

    def failed(self, now: float, *, denied: bool = False) -> "Watch":
        pause = _DENIED_SECONDS if denied else min(max(2 * self.pause, _USED_SECONDS), _MAX_FAILED_SECONDS)
        return replace(self, read_at=now, pause=pause)

    def found(self, ring: Ring | None, etag: str | None, now: float) -> "tuple[Watch, Sequence[Change] | None]":
        """What is known once the beacon has been read, and what has changed: None if everything may have. `ring` is
        None if it could not be understood; it is empty if there was no beacon."""
        if ring is None:
            return replace(self, position=_UNREADABLE, etag=etag, read_at=now, pause=_GARBAGE_SECONDS), None
        changes = ring.since(self.position) if self.position is not None else None
        return replace(self, position=ring.position, etag=etag, read_at=now, pause=0.0), changes

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def decode(content: bytes) -> Watch:
    """What a process has left for the next one. If it has left nothing, or died while it wrote, nothing is known."""
    try:
        watch = Watch(**json.loads(content))
    except (ValueError, TypeError):
        return Watch()
    whole = all(isinstance(value, str | None) for value in (watch.position, watch.etag)) and all(
        isinstance(value, float) for value in (watch.asked_at, watch.read_at, watch.pause)
    )
    return watch if whole else Watch()
