"""Values of Cache-Status (RFC 9211), which tell how the cache was used for an answer. Pure."""

import math

MISS = "gateway; fwd=miss"
# The request joined a fetch that was under way.
COLLAPSED = "gateway; fwd=miss; collapsed"
# The storage confirmed or replaced the cached copy.
REVALIDATED = "gateway; fwd=stale"
# The client asked for an answer from the storage (Cache-Control: no-cache).
BYPASSED = "gateway; fwd=request"

_STALE = "; detail=stale"
_FETCHED = {MISS: "miss", BYPASSED: "miss", REVALIDATED: "revalidated"}


def fetched(status: str) -> str:
    """What the storage was asked for, by an answer's Cache-Status: the object (`miss`), or whether a copy is still the
    newest (`revalidated`). Empty if it was not asked for this request, or there is no cache."""
    return _FETCHED.get(status, "")


def hit(fresh_for: float, *, stale: bool = False) -> str:
    """`fresh_for` is in seconds, and negative for a copy that is no longer fresh. `stale`: such a copy was used because
    the storage could not be asked."""
    ttl = math.floor(min(fresh_for, 0) if stale else fresh_for)
    return f"gateway; hit; ttl={ttl}{_STALE if stale else ''}"


def is_stale(status: str) -> bool:
    """Whether an answer's Cache-Status is that of such a copy."""
    return status.endswith(_STALE)
