"""Core metadata as tools write it, and as they don't."""

import email
import threading
import time
from contextlib import suppress
from itertools import pairwise
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.metadata import parse_email

from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES, clean_requires_python, parse, requires_python


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_fields_and_body(end: str) -> None:
    lines = [
        "Name: p",
        "SUMMARY:  of  it ",
        "Requires-Dist: a",
        "X: Summary: no",
        "Requires-Dist: b>=1;",
        "  extra == 'c'",
    ]
    found = parse(end.join([*lines, "", "# Title", "", "Summary: not this", ""]).encode())
    assert found == {
        "name": ["p"],
        "summary": ["of  it"],
        "requires-dist": ["a", "b>=1; extra == 'c'"],
        "description": ["# Title\n\nSummary: not this"],
    }


@pytest.mark.parametrize("margin", ["       |", "        ", "\t"])
def test_a_description_among_the_fields(margin: str) -> None:
    text = f"Description: Title\n{margin}=====\n{margin}\n{margin}  code\nSummary: s\n"
    assert parse(text.encode()) == {"description": ["Title\n=====\n\n  code"], "summary": ["s"]}


LINE = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.sampled_from(["Summary", "Requires-Dist", "Author", "X-Other"]), LINE)), LINE)
def test_it_reads_what_packaging_reads(fields: list[tuple[str, str]], body: str) -> None:
    text = "Name: p\n" + "".join(f"{name}: {value}\n" for name, value in fields) + "\n" + body
    theirs, _ = parse_email(text)
    found = parse(text.encode())
    assert list(found.get("requires-dist", [])) == theirs.get("requires_dist", [])
    assert found.get("description", [""])[0] == theirs.get("description", "")
    assert next(iter(found.get("author", [])), None) == email.message_from_string(text).get("Author")


@pytest.mark.parametrize(
    "line", ["a{}: x\n", "Author: {}\n", "Requires-Dist:\n {}\n", "{}\n", "Summary: {}", " {}\n", "\t\n"]
)
def test_a_megabyte_of_anything_takes_no_time(line: str) -> None:
    count = MAX_METADATA_BYTES // len(line) + 10
    text = "".join(line.format(number) for number in range(count)).encode()
    started = time.process_time()
    found = parse(text)
    assert time.process_time() - started < 10, "what is not linear takes minutes"
    assert sum(map(len, found.values())) <= 2001


@pytest.mark.parametrize("text", ["\r", "a\r\n", "a\n", "Summary: x" + "\n x" * 300_000, "Name: x\n\n" + "x\r" * 1000])
def test_a_megabyte_of_lines_leaves_other_threads_their_turn(text: str) -> None:
    """The event loop's is one of them."""
    metadata = (text * (MAX_METADATA_BYTES // len(text))).encode()
    assert min(longest_hold(metadata) for _ in range(3)) < 0.04


def longest_hold(metadata: bytes) -> float:
    """How many seconds of the processor it takes at most, while another thread has no turn."""
    clock, ended = Queue[int](), []

    def work() -> None:
        clock.put(time.pthread_getcpuclockid(threading.get_ident()))
        parse(metadata)
        ended.append(time.thread_time())

    parsing = threading.Thread(target=work)
    parsing.start()
    number, times = clock.get(), [0.0]
    while not ended:
        with suppress(OSError):  # it has just ended
            times.append(time.clock_gettime(number))
        time.sleep(0.001)
    parsing.join()
    return max(after - before for before, after in pairwise([*times, *ended]))


def test_lines_beyond_what_anybody_writes_are_left_out() -> None:
    assert parse(b"x\n" * 49_999 + b"Summary: s") == {"summary": ["s"]}
    assert parse(b"x\n" * 50_000 + b"Summary: s") == {}
    assert parse(b"Summary: s\n" + b"\n".join([b" x"] * 60_000)) == {"summary": [("s" + " x" * 3000)[:4095]]}


def test_requires_python_is_what_a_page_may_say() -> None:
    assert requires_python(b"Requires-Python: >=3.8, <4\n\nbody") == ">=3.8, <4"
    assert requires_python(b"Name: x\n\nRequires-Python: >=3\n") is None
    for bad in (None, "", "  ", "x" * 300, "a\x00b", "a\nb", "a\x85b"):
        assert clean_requires_python(bad) is None
