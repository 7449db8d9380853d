"""What is remembered of provenance."""

import json
import zlib
from itertools import count

import pytest

from gateway.policy.verified import MOST_FILES, VerifiedFiles, from_bytes

ONE = VerifiedFiles({"ab": ("github:acme/web", 5.0)})


def test_it_is_read_as_it_was_written() -> None:
    assert from_bytes(ONE.to_bytes()) == ONE
    assert ONE.words("ab") == "github:acme/web"
    assert ONE.words("cd") is None


def test_two_know_together_what_each_knows() -> None:
    both = ONE.merged(VerifiedFiles({"cd": ("invalid", 6.0), "ab": ("invalid", 9.0)}))
    assert both.found == {"ab": ("github:acme/web", 5.0), "cd": ("invalid", 6.0)}


def test_of_too_many_the_latest_are_kept() -> None:
    many = VerifiedFiles({str(number): ("invalid", float(number)) for number in range(MOST_FILES)})
    merged = VerifiedFiles({"new": ("invalid", 0.5)}).merged(many)
    assert len(merged.found) == MOST_FILES
    assert "0" not in merged.found
    assert "new" in merged.found


def packed(document: object) -> bytes:
    return zlib.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"x",
        ONE.to_bytes()[:-5],
        zlib.compress(b"0" * (16 * 1024 * 1024 + 1)),
        packed([]),
        packed({"version": 2, "files": {}}),
        packed({"version": 1}),
        packed({"version": 1, "files": []}),
        packed({"version": 1, "files": {"ab": "invalid"}}),
        packed({"version": 1, "files": {"ab": ["invalid"]}}),
        packed({"version": 1, "files": {"ab": ["", 1]}}),
        packed({"version": 1, "files": {"ab": ["a\nb", 1]}}),
        packed({"version": 1, "files": {"ab": ["a" * 1001, 1]}}),
        packed({"version": 1, "files": {"ab": [None, 1]}}),
        packed({"version": 1, "files": {"ab": ["invalid", "1"]}}),
        packed({"version": 1, "files": {"ab": ["invalid", float("nan")]}}),
    ],
    ids=count(),
)
def test_what_is_no_record_is_none(document: bytes) -> None:
    assert from_bytes(document) is None
