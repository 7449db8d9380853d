"""How long clients may keep an answer without asking again (RFC 9111, 5.2.2). Pure."""

# A client keeps it, and asks each time whether it still holds: a 304 costs next to nothing, and no release is hidden.
REVALIDATE = "no-cache"
# RFC 8246: not even a reload asks again.
IMMUTABLE = f"max-age={365 * 24 * 3600}, immutable"


def for_seconds(seconds: int) -> str:
    return f"max-age={seconds}" if seconds else REVALIDATE


def with_default(headers: dict[str, str], cache_control: str) -> dict[str, str]:
    """`headers`, in which what an object itself says of its caching holds."""
    return {"Cache-Control": cache_control, **headers}
