"""JSON in pieces is the same JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.json_pieces import MAX_PIECE_CHARS, read_object
from gateway.index.mirror.upstream_page import parse_page

JSON = "application/vnd.pypi.simple.v1+json"
KEYS = ["meta", "files", "versions", "\u00e9", ""]
ALL: dict[str, Callable[[Iterator[Any]], Any]] = dict.fromkeys(KEYS, list)
OBJECTS: dict[str, Callable[[Iterator[tuple[str, Any]]], Any]] = dict.fromkeys(KEYS, dict)
SPACES = st.sampled_from(["", "", " ", "\n", "\t\r\n  "])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, int]:
    """An object's text, and the length of its longest piece."""
    ensure_ascii = draw(st.booleans())
    longest = 0

    def piece(value: Any) -> str:
        nonlocal longest
        text = json.dumps(value, ensure_ascii=ensure_ascii)
        longest = max(longest, len(text))
        return text

    def joined(parts: list[str], brackets: str) -> str:
        space = draw(SPACES)
        return f"{brackets[0]}{space}{f'{space},{space}'.join(parts)}{space}{brackets[1]}{space}"

    members = []
    for key, value in draw(st.dictionaries(st.sampled_from([*KEYS, "x"]), VALUES)).items():
        shown = joined([piece(part) for part in value], "[]") if isinstance(value, list) else piece(value)
        members.append(f"{piece(key)}{draw(SPACES)}:{draw(SPACES)}{shown}")
    return draw(SPACES) + joined(members, "{}"), longest


def same(found: dict[str, Any], text: str) -> bool:
    return repr(found) == repr({key: value for key, value in json.loads(text).items() if key in KEYS})


@given(documents(), st.integers(0, 200))
def test_an_object_is_as_json_reads_it(document: tuple[str, int], more: int) -> None:
    text, longest = document
    assert same(read_object(text, ALL), text)
    assert same(read_object(text, ALL, max_piece_chars=longest + 3 + more), text)
    assert same(read_object(text, ALL, OBJECTS, max_piece_chars=longest + 3 + more), text)


@given(documents(), st.integers(1, 60), st.data())
def test_what_is_read_of_any_text_is_as_json_reads_it(
    document: tuple[str, int], window: int, data: st.DataObject
) -> None:
    text, _ = document
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + data.draw(st.text('{}[],:"\\ 1.e-x\ufeff', max_size=3))
            + text[at + data.draw(st.integers(0, 2)) :]
        )
    try:
        found = read_object(text, ALL, data.draw(st.sampled_from([{}, OBJECTS])), max_piece_chars=window)
    except ValueError:
        return
    assert same(found, text)


def test_an_object_is_read_member_by_member_whether_its_reader_wants_all_or_not() -> None:
    members = {f"key {number}": [number] * 8 for number in range(100)}
    text = json.dumps({"files": members, "meta": 1})
    assert read_object(text, ALL, {"files": dict}, max_piece_chars=60) == {"files": members, "meta": 1}
    first = read_object(text, ALL, {"files": lambda found: next(found)}, max_piece_chars=60)
    assert first == {"files": ("key 0", [0] * 8), "meta": 1}
    with pytest.raises(ValueError, match="longer than 60 characters"):
        read_object(text, ALL, max_piece_chars=60)


@pytest.mark.parametrize("number", ["1.5", "1.5e3", "15E+3", "15e-3", "-1.25", "-Infinity"])
def test_no_number_is_cut(number: str) -> None:
    text = f'{{"files":[{number},{number},{number}],"meta":{number}}}'
    for window in range(len(number) + 3, len(text) + 1):
        try:
            found = read_object(text, ALL, max_piece_chars=window)
        except ValueError:
            assert window < len('"files"') + 3
        else:
            assert same(found, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[]",
        "\ufeff{}",
        "{}{}",
        "{} x",
        "{,}",
        '{"meta":1,}',
        '{"meta"}',
        '{"meta":}',
        '{"meta":[1,]}',
        '{"meta":[,1]}',
        '{"meta":[1 2]}',
        '{"meta":[1}',
        '{"meta":[1',
        '{"x":[1}}',
        "{1:1}",
        "{[]:1}",
        '{"meta":1,"meta":1}',
        '{"meta":[],"meta":[]}',
        '{"x":' + "[" * 30_000 + "]" * 30_000 + "}",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_what_is_no_object(text: str) -> None:
    with pytest.raises(ValueError):
        read_object(text, ALL)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "it is not an object"),
        ("", "it is not an object"),
        ("{} x", "it continues after its end"),
        ("{1:1}", "it has a key that is not a string"),
        ('{"meta":1,"meta":1}', "it has two 'meta'"),
        ('{"x" 1}', "it has no : at character 5"),
        (" " * 70_000 + '{"x" 1}', "it has no : at character 70005"),
        ('{"x":1', "it has no , or } at character 6"),
        ('{"x":[1 2]}', "it has no , or ] at character 8"),
        ('{"x":tru}', "Expecting value at character 5"),
        (" " * 70_000 + '{"x":tru}', "Expecting value at character 70005"),
        # Where within the value, and of the document, whatever the window begins with.
        ('{"x":{"y" 1}}', "Expecting ':' delimiter at character 10"),
        ('{"x":{"y":[1 2]}}', "Expecting ',' delimiter at character 13"),
        (" " * 70_000 + '{"x":{"y" 1}}', "Expecting ':' delimiter at character 70010"),
        ('{"x":' + "[" + "[" * 30_000, "it is nested too deeply"),
    ],
    ids=lambda value: value.strip()[:30],
)
def test_the_log_tells_why_it_can_not_be_read(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_object(text, ALL)
    assert str(refused.value) == reason


def test_what_is_not_asked_for_is_read_over() -> None:
    text = '{"x":[1,{"y":[]}],"meta":[1,2],"z":{"meta":3},"files":"f"}'
    assert read_object(text, {"meta": list, "files": list}) == {"meta": [1, 2], "files": "f"}
    assert read_object(text, {}) == {}
    assert read_object("{ }", ALL) == {}
    assert read_object('{"meta":[ ]}', ALL) == {"meta": []}


def test_what_is_left_of_an_array_is_read_over() -> None:
    assert read_object('{"meta":[1,2,3],"files":4}', {"meta": next, "files": list}) == {"meta": 1, "files": 4}
    with pytest.raises(ValueError, match="it has no , or ]"):
        read_object('{"meta":[1,2 3],"files":4}', {"meta": next})


@pytest.mark.parametrize("length", [20, 21, 22, 23])
def test_a_piece_may_be_as_long_as_it_says(length: int) -> None:
    """Three characters less where more follows: a number could go on."""
    text = '{"meta":"' + "x" * (length - 2) + '"}'
    assert read_object(text, ALL, max_piece_chars=length + 3) == {"meta": "x" * (length - 2)}
    with pytest.raises(ValueError, match=f"^a part of it is longer than {length - 1} characters, or malformed$"):
        read_object(text + " " * 50, ALL, max_piece_chars=length - 1)


@pytest.mark.parametrize(
    "value",
    [
        '"' + "x" * MAX_PIECE_CHARS + '"',
        '["' + "x" * MAX_PIECE_CHARS + '"]',
        "{" + '"":0,' * MAX_PIECE_CHARS + '"":0}',
        "0." + "1" * MAX_PIECE_CHARS,
    ],
    ids=lambda value: value[:8],
)
@pytest.mark.parametrize("key", ["files", "x"])
def test_a_piece_that_is_too_long_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"longer than {MAX_PIECE_CHARS} characters"):
        read_object(f'{{"{key}":{value}}}', ALL)


def test_a_key_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        read_object('{"' + "x" * MAX_PIECE_CHARS + '":0}', ALL)


PAGE_START = '{"meta":{"api-version":"1.4"},"files":[],"x":'
FILE = '{"filename":"p-1.0.zip","url":"x"}'


@pytest.mark.parametrize(
    "text",
    [
        PAGE_START + "{" + ",".join(f'"{number}":0' for number in range(300_000)) + "}}",
        PAGE_START + "[" + ",".join(['"x"'] * 300_000) + "]}",
        PAGE_START + '"' + "x" * 1_000_000 + '"}',
        PAGE_START + '"' + "x" * 1_000_000 + r"\ud83d\ude00" + '"}',
        PAGE_START + " " * 1_000_000 + "0}",
        '{"meta":{"api-version":"1.4"},"files":[' + ",".join([FILE] * 20_000) + "]}",
    ],
    ids=["an object", "an array", "a string", "a wide string", "white space", "files"],
)
def test_the_parser_never_gets_a_page_at_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other thread has a turn while it reads what it got."""
    lengths = []
    raw_decode = json.JSONDecoder.raw_decode

    def measured(self: json.JSONDecoder, s: str, idx: int = 0) -> tuple[Any, int]:
        lengths.append(len(s))
        return raw_decode(self, s, idx)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", measured)
    with suppress(ValueError):
        parse_page("p", "https://index.example/simple/p/", JSON, text)
    assert 0 < max(lengths) <= MAX_PIECE_CHARS
