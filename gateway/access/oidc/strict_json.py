"""JSON that means the same to every reader. Pure."""

import json
from typing import Any


def parse_object(data: bytes) -> dict[str, Any]:
    """Raises ValueError unless `data` is one JSON object in UTF-8, in which no name occurs twice. Nothing is quoted."""
    found = parse(data)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  callers catch one type
    return found


def parse(data: bytes) -> Any:
    """The same of any JSON value."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")
