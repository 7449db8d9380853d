"""The document of licences that are known."""

import json
import zlib

import pytest

from gateway.policy.known_licences import MOST, KnownLicences, from_bytes


def test_it_is_read_as_it_was_written() -> None:
    known = KnownLicences({"a": "MIT", "b": ""})
    assert from_bytes(known.to_bytes()) == known


def test_two_know_more_than_one_but_not_without_end() -> None:
    one, other = KnownLicences({"a": "MIT"}), KnownLicences({"b": "ISC"})
    assert one.merged(other).found == {"a": "MIT", "b": "ISC"}
    many = KnownLicences({str(number): "MIT" for number in range(MOST)})
    assert next(iter(one.merged(many).found)) == "a"
    assert len(one.merged(many).found) == MOST


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"[]"),
        zlib.compress(json.dumps({"version": 2, "licences": {}}).encode()),
        zlib.compress(json.dumps({"version": 1, "licences": []}).encode()),
        zlib.compress(json.dumps({"version": 1, "licences": {"a": 1}}).encode()),
        zlib.compress(json.dumps({"version": 1, "licences": {"a": "\n"}}).encode()),
        zlib.compress(json.dumps({"version": 1, "licences": {"a": "x" * 2000}}).encode()),
        zlib.compress(json.dumps({"version": 1, "licences": {}}).encode())[:-1],
        zlib.compress(bytes(64 * 1024 * 1024)),
    ],
    ids=range(11),
)
def test_what_is_none_counts_for_nothing(document: bytes) -> None:
    assert from_bytes(document) is None
