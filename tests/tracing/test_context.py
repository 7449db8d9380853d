"""The examples and rules are those of the W3C's Trace Context, sections 3.2 and 3.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracing.context import TraceContext, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_place_in_a_trace_goes_on_as_it_came() -> None:
    found = parse([PARENT], ["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"])
    assert found == TraceContext(TRACE, SPAN, 1, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert found.sampled
    assert found.headers == {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"}


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),  # only two flags mean something
        (f"01-{TRACE}-{SPAN}-01", 1),  # a later version, read as far as this one goes
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
        (f"cc-{TRACE}-{SPAN}-01-", 1),
    ],
)
def test_flags_and_later_versions(parent: str, flags: int) -> None:
    found = parse([parent], [])
    assert found == TraceContext(TRACE, SPAN, flags)
    assert found.sampled is bool(flags & 1)
    assert found.headers == {"traceparent": f"00-{TRACE}-{SPAN}-{flags:02x}"}


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        ["00"],
        [f"00-{TRACE}-{SPAN}"],
        [f"00-{TRACE}-{SPAN}-01-more"],  # version 00 has no more
        [f"00-{TRACE}-{SPAN}-01-"],
        [f"cc-{TRACE}-{SPAN}-01.what"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f".0-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN.upper()}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[:-1]}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}0-01"],
        [f"00-{TRACE}-{SPAN}-.1"],
        [f"00-{TRACE}-{SPAN}-01\n"],
        [f"00-{TRACE}-{SPAN}-01\r\nAuthorization: x"],
        [f"00-{TRACE[:-1]}٣-{SPAN}-01"],  # a digit, though not of ASCII
        [PARENT, PARENT],
        [PARENT.replace("-", "_")],
        ["'; DROP TABLE spans; --"],
        ["0" * 8000],
    ],
)
def test_what_breaks_the_rules_counts_as_nothing(parents: list[str]) -> None:
    assert parse(parents, ["congo=t61rcWkgMzE"]) is None


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([], ""),
        ([""], ""),
        ([" foo=1 , bar=2\t"], "foo=1,bar=2"),
        (["foo=1,,bar=2,"], "foo=1,bar=2"),  # members may be empty
        (["foo=1", "bar=2"], "foo=1,bar=2"),  # headers are joined, in order
        (["fw529a3039@dt=FfAAAA"], "fw529a3039@dt=FfAAAA"),
        (["0a=1"], "0a=1"),
        (["foo=a b"], "foo=a b"),
        (["foo=1,foo=2"], ""),
        (["foo"], ""),
        (["foo="], ""),
        (["FOO=1"], ""),
        (["foo=a=b"], ""),
        (["foo=ü"], ""),
        (["foo=\x00"], ""),
        (["foo=1\r\nAuthorization: x"], ""),
        (["a" * 257 + "=1"], ""),
        (["foo=" + "v" * 257], ""),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
        ([",".join(f"k{number}=1" for number in range(32))], ",".join(f"k{number}=1" for number in range(32))),
        (["a=" + "v" * 255, "b=" + "v" * 252], "a=" + "v" * 255 + ",b=" + "v" * 252),  # 512 characters
        (["a=" + "v" * 255, "b=" + "v" * 253], ""),
    ],
)
def test_a_state_that_breaks_the_rules_is_dropped_alone(states: list[str], state: str) -> None:
    found = parse([PARENT], states)
    assert found is not None
    assert found.state == state


@given(st.lists(st.text(), max_size=3), st.lists(st.text(max_size=600), max_size=3))
def test_nothing_that_a_client_sends_can_end_a_header(parents: list[str], states: list[str]) -> None:
    for parent in ([PARENT], parents):
        if (found := parse(parent, states)) is not None:
            text = "".join(found.headers.values())
            assert text.isascii()
            assert text.isprintable()
