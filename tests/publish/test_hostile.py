"""Whoever uploads hostile archives is told what is wrong with them, in bounded time and memory."""

import gzip
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from packaging.version import Version

from gateway.errors import BadRequestError
from gateway.publish.inspection import Inspection
from gateway.publish.release_file import ReleaseFile
from gateway.publish.rules import Rules
from tests.support.archives import (
    SDIST_FILE,
    STEM,
    WHEEL_FILE,
    End,
    Entry,
    description,
    sdist_of,
    tar_head,
    tar_member,
    zip_of,
)
from tests.support.hostile import changed, hostile
from tests.support.nightly import NIGHTLY
from tests.support.readers import (
    demand_one_meaning_of_tar,
    demand_one_meaning_of_zip,
    pieces,
    scan_tar,
    scan_zip,
)

SEED = 13
COUNT = 1000 if NIGHTLY else 250
PIECE = 512 * 1024
# A machine that is busy takes some times as long. `thread_time` does not count what others do.
PIECE_SECONDS, ALL_SECONDS = 4.0, 8.0
MIB = 1024 * 1024


def inspection(filename: str) -> Inspection:
    return Inspection(ReleaseFile("foo", Version("1.0"), filename, {}), Rules())


def inspect(inspected: Inspection, parts: Iterator[bytes] | list[bytes]) -> None:
    for part in parts:
        begun = time.thread_time()
        inspected.feed(part)
        assert time.thread_time() - begun < PIECE_SECONDS
    inspected.finish()


def refusal(filename: str, parts: Iterator[bytes] | list[bytes]) -> str:
    """What the client is told."""
    started = time.thread_time()
    with pytest.raises(BadRequestError) as caught:
        inspect(inspection(filename), parts)
    assert time.thread_time() - started < ALL_SECONDS
    public = caught.value.public
    assert public.startswith("Invalid file: ")
    assert public.isprintable()
    assert len(public) < 300
    return public


def test_each_is_refused_with_words() -> None:
    told = set()
    for number, (filename, data) in enumerate(hostile(SEED, COUNT)):
        told.add(refusal(filename, pieces(data, (PIECE, 1, 100)[number % 3])).partition(" (")[0])
    assert len(told) > 20, "many ways to be wrong have been seen"


def test_what_is_changed_is_refused_or_means_the_same_to_all_readers() -> None:
    accepted = 0
    for filename, data in changed(SEED, 4 * COUNT):
        if filename == WHEEL_FILE:
            found = scan_zip([data])
            if found is not None:
                demand_one_meaning_of_zip(data, *found)
                accepted += 1
        else:
            scan = scan_tar(STEM, [data])
            if scan is not None:
                demand_one_meaning_of_tar(data, STEM, scan)
                accepted += 1
    assert accepted > COUNT // 5


@pytest.mark.parametrize("filename", [WHEEL_FILE, SDIST_FILE])
def test_what_is_cut_anywhere_is_refused(filename: str) -> None:
    whole = zip_of(description()) if filename == WHEEL_FILE else sdist_of(tar_member(f"{STEM}/PKG-INFO", b"Name: x"))
    for end in range(0, len(whole), 1 if NIGHTLY else 3):
        refusal(filename, [whole[:end]])


def bomb(levels: int) -> bytes:
    data = tar_head(f"{STEM}/x", 8 * 1024 * MIB) + bytes(70 * MIB)
    for _ in range(levels):
        data = gzip.compress(data, 9, mtime=0)
    return data


def heads(count: int) -> bytes:
    """Of a directory, each with a name of its own."""
    start, end = zip_of([Entry("")])[30:76], zip_of([])
    entry = start[:28] + b"\6\0" + start[30:]
    return b"".join(entry + b"%06d" % number for number in range(count)) + end


# Tracing memory takes seconds where many small objects are made.
SLOW = ("heads", "a directory of small heads", "a tar of heads")
LARGE = {
    "gzip": (SDIST_FILE, bomb(1), "over 50 times as large"),
    "gzip in gzip": (SDIST_FILE, bomb(2), "it is damaged"),
    "zeros after the end": (SDIST_FILE, sdist_of(end=bytes(70 * MIB)), "over 50 times as large"),
    "a directory of 8 MiB": (WHEEL_FILE, zip_of(description())[:-22] + bytes(9 * MIB), "its directory is too large"),
    "heads": (WHEEL_FILE, zip_of([Entry("a")])[:31] * 0x10000, "it has more than 65535 members"),
    "a directory of small heads": (WHEEL_FILE, heads(150_000), "more than 65535 members"),
    "comment": (WHEEL_FILE, zip_of(description(), End(comment=b"PK\5\6" * 16000)), "taken for a directory"),
    "a tar of heads": (
        SDIST_FILE,
        gzip.compress(tar_member(f"{STEM}/x") * 0x10000, mtime=0),
        "more than 65535 members",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_ones_take_bounded_time_and_memory(name: str) -> None:
    filename, data, words = LARGE[name]
    assert words in refusal(filename, pieces(data, PIECE))
    if name not in SLOW or NIGHTLY:
        tracemalloc.start()
        try:
            refusal(filename, pieces(data, PIECE))
            assert tracemalloc.get_traced_memory()[1] < 48 * MIB + len(data)
        finally:
            tracemalloc.stop()
