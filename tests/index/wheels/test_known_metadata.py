"""Facts by version, and documents of them, which anybody may have written."""

import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.index.wheels.known_metadata import (
    MAX_DOCUMENT_BYTES,
    MAX_DOCUMENT_FILES,
    Entry,
    KnownMetadata,
    from_document,
    to_document,
    version_of,
)
from gateway.storage.base import ObjectMetadata, StoredObject

ITEM = StoredObject("p/p-1.tar.gz", 3, '"etag"', 1_700_000_000.5)
FACTS = ObjectMetadata("ab" * 32, ">=3", "", 1.5)


def known(**entries: Entry) -> KnownMetadata:
    found = KnownMetadata()
    found.entries = {f"p/{name}": entry for name, entry in entries.items()}
    return found


def test_facts_are_of_one_version() -> None:
    found = KnownMetadata()
    found.entries[ITEM.key] = Entry(version_of(ITEM), FACTS)
    assert found.get(ITEM) == FACTS
    assert found.get(replace(ITEM, modified=1_700_000_000.9)) == FACTS, "a second is a version's"
    for other in (replace(ITEM, etag='"other"'), replace(ITEM, modified=1.0), replace(ITEM, key="p/q")):
        assert found.get(other) is None


ENTRIES = st.builds(
    Entry,
    st.text(max_size=20),
    st.builds(
        ObjectMetadata,
        st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
        st.none() | st.sampled_from([">=3", "<4, >=3.8"]),
        st.none() | st.text(max_size=20),
        st.none() | st.floats(0, 2e9),
        st.booleans(),
        st.none() | st.text(max_size=20),
        st.none() | st.text(max_size=20),
    ),
)


@given(st.dictionaries(st.text(max_size=20), ENTRIES))
def test_a_document_says_what_was_known(entries: dict[str, Entry]) -> None:
    assert from_document(to_document(entries)) == entries


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
)


@settings(max_examples=50)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_document_breaks_it(document: bytes) -> None:
    assert from_document(document) == {}


@settings(max_examples=50)
@given(st.lists(JSON, min_size=8, max_size=8))
def test_no_entry_breaks_it_or_gets_into_a_page(entry: list[Any]) -> None:
    found = from_document(json.dumps({"format": 2, "files": {"k": entry}}).encode())
    assert set(found) <= {"k"}
    for told in found.values():
        assert isinstance(hash(told.metadata), int)
        assert told.metadata.sha256 is None


@pytest.mark.parametrize(
    "entry",
    [
        ["v", "ab" * 31, None, None, None, False, None, None],
        ["v", "AB" * 32, None, None, None, False, None, None],
        ["v", None, ">=3\n", None, None, False, None, None],
        ["v", None, "x" * 1000, None, None, False, None, None],
        ["v", None, None, "x" * 2000, None, False, None, None],
        ["v", None, ">=3\ud800", None, None, False, None, None],
        ["v", None, None, "\udfff", None, False, None, None],
        ["v", None, None, None, -1, False, None, None],
        ["v", None, None, None, 1e30, False, None, None],
        ["v", None, None, None, float("nan"), False, None, None],
        ["v", None, None, None, "2020", False, None, None],
        [1, None, None, None, None, False, None, None],
        ["v", None, None, None, None, False, None],
        ["v", None, None, None, None, 1, None, None],
        ["v", None, None, None, None, False, 1, None],
        ["v", None, None, None, None, False, None, 1],
        ["v", None, None, None, None, False, "x" * 600, None],
        ["v", None, None, None, None, False, "\ud800", None],
        ["v", None, None, None, None, False, None, "x" * 600],
        {},
    ],
)
def test_an_entry_that_is_not_as_it_should_be_is_left_out(entry: Any) -> None:
    good = ["v", "ab" * 32, ">=3", "", 1, True, "ci", "{}"]
    document = json.dumps({"format": 2, "files": {"bad": entry, "good": good}}).encode()
    assert from_document(document) == {"good": Entry("v", ObjectMetadata("ab" * 32, ">=3", "", 1, True, "ci", "{}"))}


def test_a_document_that_is_deep_large_or_of_another_format_is_none() -> None:
    assert from_document(b"[" * 100_000) == {}
    assert from_document(b'{"format": 1, "files": {}}') == {}
    files = to_document({"k": Entry("v", FACTS)})
    assert from_document(files) != {}
    assert from_document(files + b" " * MAX_DOCUMENT_BYTES) == {}


@pytest.mark.parametrize("filler", [b"{}", b"[]", b"0"])
def test_a_document_that_would_take_many_times_its_length_in_memory_is_none(filler: bytes) -> None:
    document = b'{"format":2,"files":{"k":["v",null,null,null,null,false,null,null],"x":[%s0]}}'
    few, many = (document % (b"%s," % filler * times) for times in (1000, MAX_DOCUMENT_BYTES // (len(filler) + 1) - 99))
    assert set(from_document(few)) == {"k"}
    tracemalloc.start()
    try:
        assert from_document(many) == {}
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_DOCUMENT_BYTES
    finally:
        tracemalloc.stop()


def test_a_document_of_as_many_files_as_fit_is_read() -> None:
    entries = {f"p/p-1.{number}.tar.gz": Entry(f"{number:032x} 1700000000", FACTS) for number in range(90_000)}
    document = to_document(entries)
    assert MAX_DOCUMENT_BYTES * 0.8 < len(document) < MAX_DOCUMENT_BYTES
    assert from_document(document) == entries


def turns_during(work: Callable[[], object]) -> int:
    """How often another thread gets to run while `work` does."""
    before, turns = sys.getswitchinterval(), 0
    sys.setswitchinterval(0.0005)
    try:
        worker = threading.Thread(target=work)
        worker.start()
        while worker.is_alive():
            time.sleep(0)
            turns += 1
    finally:
        sys.setswitchinterval(before)
    return turns


def fewest_turns_during(work: Callable[[], object]) -> int:
    """Of several tries: the worker also stands still while other processes have the processor."""
    return min(turns_during(work) for _ in range(5))


def test_other_threads_run_while_a_document_is_read() -> None:
    digits = b",".join([b"9" * 4000] * 15)
    hostile = b'{"format":2,"files":{' + b",".join(b'"%d":[%s]' % (number, digits) for number in range(50)) + b"}}"
    assert fewest_turns_during(lambda: json.loads(hostile)) < 10, "the whole document at once lets none run"
    assert turns_during(lambda: from_document(hostile)) > 20


def test_other_threads_run_while_a_document_is_written() -> None:
    entries = {f"p/p-1.{number}.tar.gz": Entry(f"{number:032x} 1700000000", FACTS) for number in range(20_000)}
    read = json.loads(to_document(entries))
    assert fewest_turns_during(lambda: json.dumps(read)) < 10
    assert turns_during(lambda: to_document(entries)) > 20


def test_a_document_that_is_not_ascii_is_none() -> None:
    assert from_document('{"format":2,"files":{"é":["v",null,null,null,null,false,null,null]}}'.encode()) == {}
    assert len(from_document(b'{"format":2,"files":{"\\u00e9":["v",null,null,null,null,false,null,null]}}')) == 1


def test_what_is_read_of_a_document_is_bounded() -> None:
    files = b",".join(
        b'"%d":["",null,null,null,null,true,null,null]' % number for number in range(MAX_DOCUMENT_FILES + 1000)
    )
    found = from_document(b'{"format":2,"files":{%s}}' % files)
    assert len(found) == MAX_DOCUMENT_FILES
    assert sum(entry.weight for entry in found.values()) < 48 * 1024 * 1024


def test_of_two_who_know_something_the_one_counts_who_knows_what_is_there() -> None:
    items = {key: StoredObject(key, 1, '"now"', 0) for key in ("p/both", "p/mine", "p/theirs", "p/old")}
    now, old = Entry("now 0", FACTS), Entry("old 0", FACTS)
    mine = known(both=now, mine=now, theirs=old, gone=now)
    theirs = {"p/both": old, "p/theirs": now, "p/new": now}
    assert mine.merged(theirs, items) == {"p/both": now, "p/mine": now, "p/theirs": now, "p/new": now}
    many = {f"p/{number}": now for number in range(1000)}
    assert set(mine.merged(many, items)) == {"p/both", "p/mine", "p/theirs"}, "what has gone is forgotten in the end"


def test_a_document_is_compact_and_in_order() -> None:
    entries = {"b": Entry("v 1", ObjectMetadata()), "a": Entry("v 0", replace(FACTS, unreadable=True))}
    assert to_document(entries) == (
        b'{"format":2,"files":{"a":["v 0","'
        + b"ab" * 32
        + b'",">=3","",1.5,true,null,null],"b":["v 1",null,null,null,null,false,null,null]}}'
    )


def test_texts_times_and_documents_may_be_as_large_as_they_say() -> None:
    for uploaded in (0, 253402300799):
        entries = {"k": Entry("v", ObjectMetadata(None, None, "x" * 1024, uploaded))}
        document = to_document(entries)
        assert from_document(document) == entries
        assert from_document(document + b" " * (MAX_DOCUMENT_BYTES - len(document))) == entries
        assert from_document(document + b" " * (MAX_DOCUMENT_BYTES - len(document) + 1)) == {}
    for yanked, uploaded in (("x" * 1025, 0), ("", 253402300800)):
        assert from_document(to_document({"k": Entry("v", ObjectMetadata(None, None, yanked, uploaded))})) == {}


@pytest.mark.parametrize("document", [b'{"format":2}', b'{"format":1,"files":[]}', b'{"files":{}}', b"[]", b"1"])
def test_a_document_without_files_is_none(document: bytes) -> None:
    assert from_document(document) == {}


def test_a_version_is_the_etag_without_its_quotes_and_the_second() -> None:
    assert version_of(ITEM) == "etag 1700000000"
    assert version_of(replace(ITEM, etag='"XYX"')) == "XYX 1700000000"


def test_what_others_know_of_files_that_are_gone_stays_as_long_as_it_is_not_the_most() -> None:
    now = Entry("now 0", FACTS)
    items = {key: StoredObject(key, 1, '"now"', 0) for key in ("p/0", "p/1")}
    assert len(KnownMetadata().merged({f"p/{number}": now for number in range(104)}, items)) == 104
    assert KnownMetadata().merged({f"p/{number}": now for number in range(105)}, items) == {}
    assert known(**{"0": now}).merged({f"p/{number}": now for number in range(105)}, items) == {"p/0": now}


def of(metadata: ObjectMetadata | None, **beside: ObjectMetadata | None) -> ObjectMetadata:
    """What a page shows of a file of which `metadata` are known, where files with these suffixes lie beside it."""
    items = {ITEM.key: ITEM, **{f"{ITEM.key}.{name}": replace(ITEM, key=f"{ITEM.key}.{name}") for name in beside}}
    found = KnownMetadata()
    for key, told in zip(items, (metadata, *beside.values()), strict=True):
        if told is not None:
            found.entries[key] = Entry(version_of(ITEM), told)
    return found.of(ITEM, items)


NOTHING, SHA, OTHER_SHA = ObjectMetadata(), "ab" * 32, "cd" * 32


def test_a_hash_beside_a_file_stands_in_where_the_file_s_own_is_not_known() -> None:
    assert of(FACTS) == FACTS
    assert of(None) == NOTHING
    assert of(None, sha256=None) == NOTHING
    assert of(None, sha256=ObjectMetadata(SHA)).sha256 == SHA
    assert of(ObjectMetadata(None, ">=3"), sha256=ObjectMetadata(SHA)) == ObjectMetadata(SHA, ">=3")
    assert of(ObjectMetadata(OTHER_SHA), sha256=ObjectMetadata(SHA)).sha256 == OTHER_SHA


@pytest.mark.parametrize(
    ("own", "beside", "shown"),
    [
        (None, None, ""),
        (None, NOTHING, ""),
        (None, ObjectMetadata(yanked="why"), "why"),
        (ObjectMetadata(yanked="own"), None, "own"),
        (ObjectMetadata(yanked="own"), ObjectMetadata(yanked=""), "own"),
        (ObjectMetadata(yanked="own"), ObjectMetadata(yanked="why"), "why"),
    ],
)
def test_a_file_is_yanked_by_what_lies_beside_it(
    own: ObjectMetadata | None, beside: ObjectMetadata | None, shown: str
) -> None:
    assert of(own, yanked=beside).yanked == shown
    assert of(own).yanked == (own.yanked if own is not None else None)
