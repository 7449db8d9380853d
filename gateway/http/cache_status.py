"""Cache-Status (RFC 9211): what the cache has done for an answer. Pure."""

import math

MISS = "gateway; fwd=miss"
# It joined a fetch that was under way.
COLLAPSED = "gateway; fwd=miss; collapsed"
# The storage was asked whether what is kept is still so.
REVALIDATED = "gateway; fwd=stale"
# The client wanted it from the storage.
BYPASSED = "gateway; fwd=request"


def hit(fresh_for: float, *, stale: bool = False) -> str:
    """`fresh_for` is in seconds, and below 0 for what is older than it should be. `stale`: because the storage could
    not be asked."""
    ttl = math.floor(min(fresh_for, 0) if stale else fresh_for)
    return f"gateway; hit; ttl={ttl}; detail=stale" if stale else f"gateway; hit; ttl={ttl}"
