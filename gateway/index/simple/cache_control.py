"""How long clients may keep an answer without asking again (RFC 9111, 5.2.2). Pure."""

# A client keeps the answer, and revalidates it each time: a 304 costs next to nothing, and no release stays hidden.
REVALIDATE = "no-cache"
# RFC 8246: not even a reload revalidates it.
IMMUTABLE = f"max-age={365 * 24 * 3600}, immutable"


def for_seconds(seconds: int) -> str:
    return f"max-age={seconds}" if seconds else REVALIDATE


def with_default(headers: dict[str, str], cache_control: str) -> dict[str, str]:
    """`headers` with this Cache-Control, unless they have one of their own."""
    return {"Cache-Control": cache_control, **headers}
