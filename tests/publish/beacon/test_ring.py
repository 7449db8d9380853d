"""What lies in the beacon, and what is read from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.names import is_project_name
from gateway.publish.beacon.ring import MOST_BYTES, MOST_CHANGES, Change, Ring, decode

NAMES = st.text("ab0-", min_size=1, max_size=128).filter(is_project_name)


def ring_of(count: int, first: int = 0, project: str = "acme") -> Ring:
    return Ring(tuple(Change(f"{number:016x}", project) for number in range(first, first + count)))


@given(st.lists(NAMES, min_size=1, max_size=20))
def test_what_is_written_is_read(projects: list[str]) -> None:
    ring = Ring(tuple(Change(f"{number:016x}", project) for number, project in enumerate(projects)))
    assert decode(ring.encode()) == ring


def test_the_largest_ring_can_be_read() -> None:
    ring = ring_of(MOST_CHANGES, project="x" * 128)
    assert decode(ring.encode()) == ring


def test_the_oldest_changes_make_room() -> None:
    ring = ring_of(MOST_CHANGES).with_changes(ring_of(2, first=1000).changes)
    assert len(ring.changes) == MOST_CHANGES
    assert [change.id for change in (ring.changes[0], ring.changes[-1])] == [f"{2:016x}", f"{1001:016x}"]


@pytest.mark.parametrize(
    ("position", "since"),
    [
        (f"{4:016x}", ()),
        (f"{3:016x}", ring_of(1, first=4).changes),
        (f"{0:016x}", ring_of(4, first=1).changes),
        (f"{9:016x}", None),
        ("", None),
        ("?", None),
    ],
)
def test_what_has_changed_since(position: str, since: tuple[Change, ...] | None) -> None:
    assert ring_of(5).since(position) == since


def test_nothing_has_changed_in_no_ring_since_there_was_none() -> None:
    assert Ring().since("") == ()
    assert Ring().since(f"{1:016x}") is None


CHANGE = ["0123456789abcdef", "acme"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"[" * MOST_BYTES,
        b'{"version": ' + b"1" * 5000 + b', "changes": [["0123456789abcdef", "acme"]]}',
        b" " * MOST_BYTES + b'{"version": 1, "changes": [["0123456789abcdef", "acme"]]}',
        *(
            json.dumps(value).encode()
            for value in (
                {},
                {"version": 1},
                {"version": 2, "changes": [CHANGE]},
                {"version": True, "changes": [CHANGE]},
                {"version": 1.0, "changes": [CHANGE]},
                {"version": 1, "changes": [CHANGE], "more": 1},
                {"version": 1, "changes": []},
                {"version": 1, "changes": {}},
                {"version": 1, "changes": ["acme"]},
                {"version": 1, "changes": [["0123456789abcdef"]]},
                {"version": 1, "changes": [[*CHANGE, 1]]},
                {"version": 1, "changes": [["0123456789ABCDEF", "acme"]]},
                {"version": 1, "changes": [["0123456789abcdef\n", "acme"]]},
                {"version": 1, "changes": [[1, "acme"]]},
                {"version": 1, "changes": [["0123456789abcdef", "Acme"]]},
                {"version": 1, "changes": [["0123456789abcdef", "*"]]},
                {"version": 1, "changes": [["0123456789abcdef", "../x"]]},
                {"version": 1, "changes": [["0123456789abcdef", "x" * 129]]},
                {"version": 1, "changes": [["0123456789abcdef", None]]},
                {"version": 1, "changes": [CHANGE, CHANGE]},
                {"version": 1, "changes": [[f"{number:016x}", "a"] for number in range(MOST_CHANGES + 1)]},
            )
        ),
    ],
)
def test_anything_else_is_no_ring(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode(content)


@given(st.binary(max_size=200))
def test_garbage_is_a_ring_or_a_value_error(content: bytes) -> None:
    try:
        ring = decode(content)
    except ValueError:
        return
    assert decode(ring.encode()) == ring
