"""What is remembered of files that were seen before."""

import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.pages import File
from gateway.policy import seen
from gateway.policy.facts import ProjectFacts, identity
from gateway.policy.seen import LOOK_SECONDS, SeenFiles, by_identity, first_page, from_bytes

DAY = 86400.0
NOW = 1_800_000_000.0


def file(name: str, modified: float | None, sha256: str = "ab" * 32) -> File:
    return File(name, f"https://files.example/{name}", modified=modified, hashes={"sha256": sha256})


def since(record: SeenFiles, one: File, now: float) -> float | None:
    return ProjectFacts(record.seen(by_identity([one])), record.first).out_since(one, now)


def test_the_first_page_is_believed() -> None:
    old, new, timeless = file("a", NOW - 900 * DAY), file("b", NOW - DAY), file("c", None)
    record = first_page(by_identity([old, new, timeless]), NOW)
    assert [since(record, one, NOW) for one in (old, new, timeless)] == [NOW - 900 * DAY, NOW - DAY, NOW]
    assert record.after(by_identity([old, new, timeless]), NOW + DAY) is record


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (NOW + 9 * DAY, NOW + 9 * DAY),  # when it appeared
        (NOW - 0.4 * DAY, NOW - 0.4 * DAY),  # a cache may have shown an older page
        (NOW - 0.6 * DAY, NOW + 10 * DAY),  # it was not there then
        (NOW - 900 * DAY, NOW + 10 * DAY),
        (None, NOW + 10 * DAY),
    ],
)
def test_what_appears_later_is_no_older_than_the_look_before(told: float | None, expected: float) -> None:
    record = first_page(by_identity([]), NOW).after(by_identity([file("a", told)]), NOW + 10 * DAY)
    assert since(record, file("a", told), NOW + 10 * DAY) == expected


def test_looks_that_find_nothing_new_count() -> None:
    record = (
        first_page(by_identity([]), NOW)
        .looked_at(NOW + 9 * DAY)
        .after(by_identity([file("a", NOW + DAY)]), NOW + 10 * DAY)
    )
    assert since(record, file("a", NOW + DAY), NOW + 10 * DAY) == NOW + 10 * DAY


def test_a_look_counts_that_is_hours_later() -> None:
    record = first_page(by_identity([]), NOW)
    assert record.looked_at(NOW + LOOK_SECONDS - 1) is record
    assert record.looked_at(NOW + LOOK_SECONDS).looked == NOW + LOOK_SECONDS


def test_a_time_that_an_index_takes_back_is_kept() -> None:
    record = first_page(by_identity([file("a", NOW - DAY)]), NOW)
    assert since(record, file("a", NOW - 900 * DAY), NOW + DAY) == NOW - DAY
    record = first_page(by_identity([]), NOW).after(by_identity([file("a", NOW + DAY)]), NOW + DAY)
    assert since(record, file("a", NOW - 900 * DAY), NOW + DAY) == NOW + DAY


def test_a_time_that_lay_in_the_future_when_it_was_seen_begins_then() -> None:
    record = first_page(by_identity([file("a", NOW + 50 * DAY)]), NOW)
    assert since(record, file("a", NOW + 50 * DAY), NOW) is None
    assert since(record, file("a", NOW - 900 * DAY), NOW + DAY) == NOW


def test_a_file_that_is_replaced_is_new() -> None:
    record = first_page(by_identity([file("a", NOW - 900 * DAY)]), NOW)
    replaced = file("a", NOW - 900 * DAY, "cd" * 32)
    record = record.after(by_identity([replaced]), NOW + 2 * DAY)
    assert since(record, replaced, NOW + 2 * DAY) == NOW + 2 * DAY


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_files_are_told_apart_by_any_hash(algorithm: str) -> None:
    one, other = (replace(file("a", None), hashes={algorithm: "ab" * 31 + end}) for end in ("ab", "cd"))
    assert identity(one) != identity(other)


def test_an_index_that_keeps_making_up_files_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_MOST_KNOWN", 4)
    record = first_page(by_identity([file("a", None)]), NOW)
    for page in range(1, 9):
        stays, other, made_up = file("a", None), file("b", None), file(str(page), None)
        record = record.after(by_identity([stays, other, made_up]), NOW + page)
        assert len(record.known) <= 4
        assert set(record.times) == record.known
        assert (since(record, stays, NOW + page), since(record, other, NOW + page)) == (NOW, NOW + 1)
    assert len(identity(file("a" * 250, None))) == len(identity(file("a", None)))


def test_a_file_that_comes_back_is_not() -> None:
    one = file("a", NOW - 900 * DAY)
    record = (
        first_page(by_identity([one]), NOW).after(by_identity([]), NOW + DAY).after(by_identity([one]), NOW + 10 * DAY)
    )
    assert since(record, one, NOW + 10 * DAY) == NOW - 900 * DAY


PAGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(int(NOW - 200 * DAY), int(NOW + 9 * DAY)))),
    unique_by=lambda one: one[0],
)


@given(PAGES, PAGES, st.integers(0, 9))
def test_what_is_saved_is_read(one: list[Any], two: list[Any], days: int) -> None:
    record = first_page(by_identity([file(*each) for each in one]), NOW)
    record = record.after(by_identity([file(*each) for each in two]), NOW + days * DAY)
    assert from_bytes(record.to_bytes(), NOW + 10 * DAY) == record


@given(PAGES, PAGES)
def test_two_gateways_know_the_earlier_times(one: list[Any], two: list[Any]) -> None:
    first = first_page(by_identity([file(*each) for each in one]), NOW)
    second = first_page(by_identity([file(*each) for each in two]), NOW + DAY)
    merged = first.merged(second)
    assert merged == second.merged(first)
    assert (merged.first, merged.looked) == (NOW, NOW + DAY)
    assert merged.known == {identity(file(name, None)) for name, _ in (*one, *two)}
    for name, time in merged.times.items():
        assert time == min(times[name] for times in (first.times, second.times) if name in times)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        zlib.compress(b"{}"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(json.dumps({"version": 2, "first": 1, "looked": 1, "files": {}}).encode()),
        zlib.compress(json.dumps({"version": 1, "first": -1, "looked": 1, "files": {}}).encode()),
        zlib.compress(json.dumps({"version": 1, "first": 1, "looked": 1, "files": []}).encode()),
        zlib.compress(json.dumps({"version": 1, "first": 1, "looked": 1, "files": {"a": "1"}}).encode()),
        zlib.compress(b'{"version": 1, "first": NaN, "looked": 1, "files": {}}'),
        first_page(by_identity([]), NOW).to_bytes()[:-3],
        zlib.compress(b" " * 40_000_000 + b'{"version": 1, "first": 1, "looked": 1, "files": {}}'),
    ],
)
def test_what_is_no_record(document: bytes) -> None:
    assert from_bytes(document, NOW) is None


def test_times_of_a_wrong_clock_are_those_of_now() -> None:
    record = from_bytes(first_page(by_identity([file("a", None)]), NOW + 90 * DAY).to_bytes(), NOW)
    assert record is not None
    assert (record.first, record.looked, set(record.times.values())) == (NOW, NOW, {NOW})
