"""What a page of another index is taken to weigh."""

import gc
import hashlib
import json
import tracemalloc
from typing import Any

import pytest

from gateway.index.remote import _parsed

HASHES = dict.fromkeys(sorted(hashlib.algorithms_guaranteed), "ab" * 64)


def file(number: int, **more: object) -> dict[str, object]:
    return {"filename": f"foo-1.{number}.tar.gz", "url": "x", "hashes": {}, **more}


@pytest.mark.parametrize(
    "more",
    [
        {"versions": [f"1.{number}" for number in range(20_000)]},
        {"files": [file(number) for number in range(2000)]},
        {"files": [file(number, hashes=HASHES) for number in range(500)]},
        {"files": [file(number, yanked=f"{number}é" * 700) for number in range(500)]},
        {"project-status": {"status": "x" * 8000, "reason": "é" * 8000}},
    ],
    ids=["versions", "files", "hashes", "yanks", "status"],
)
def test_a_page_weighs_what_it_takes(more: dict[str, Any]) -> None:
    body = json.dumps({"meta": {"api-version": "1.4"}, "versions": [], "files": [], **more}).encode()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        parsed = _parsed("foo", "https://index.example/foo/", "application/vnd.pypi.simple.v1+json", "", body)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert not isinstance(parsed, str)
    assert 0.8 * taken <= parsed[1] <= 1.5 * taken + 2000


def test_the_reason_why_a_page_can_t_be_read_is_short() -> None:
    """It is remembered for thousands of names, and shown."""
    reason = _parsed("foo", "https://index.example/foo/", "x" * 60_000, "", b"")
    assert isinstance(reason, str)
    assert 10 < len(reason) <= 200
