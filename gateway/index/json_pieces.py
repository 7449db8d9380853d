"""Reads a large JSON object that others made, in pieces. Pure.

Python's parser lets no other thread run until it is done, so it gets a little at a time: one element of an array, one
member of an object within, or one other member of the object itself, of a bounded length.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

# Parsing so many characters takes some five milliseconds, whatever they are.
MAX_PIECE_CHARS = 64 * 1024
_SPACES = " \t\n\r"
_SPACE = re.compile(f"[{_SPACES}]*")
_JSON = json.JSONDecoder()
# So many characters of a number may be cut off unnoticed: the parser reads "1.5e+" as 1.5.
_LOST_CHARS = 2
_NO_OBJECTS: Mapping[str, Callable[[Iterator[tuple[str, Any]]], Any]] = MappingProxyType({})


def read_object(
    text: str,
    arrays: Mapping[str, Callable[[Iterator[Any]], Any]],
    objects: Mapping[str, Callable[[Iterator[tuple[str, Any]]], Any]] = _NO_OBJECTS,
    *,
    max_piece_chars: int = MAX_PIECE_CHARS,
) -> dict[str, Any]:
    """The members of json.loads(text) whose keys are in `arrays` or `objects`. For an array, the value is what the
    function in `arrays` returns for its elements; for an object whose key is in `objects`, what that function returns
    for its keys and values. Raises ValueError if `text` is not an object, has a key twice, or has a longer piece."""
    pieces = _Pieces(text, max_piece_chars)
    if pieces.peek() != "{":
        raise ValueError("it is not an object")
    found: dict[str, Any] = {}
    for key in pieces.key_by_key():
        if key in found:
            raise ValueError(f"it has two {key!r}")
        value: Any = None
        if pieces.peek() == "[":
            elements = pieces.elements()
            value = arrays[key](elements) if key in arrays else None
            for _ in elements:  # skips those that are not used
                pass
        elif pieces.peek() == "{" and key in objects:
            members = pieces.members()
            value = objects[key](members)
            for _ in members:
                pass
        else:
            value = pieces.value()
        if key in arrays or key in objects:
            found[key] = value
    if pieces.peek():
        raise ValueError("it continues after its end")
    return found


class _Pieces:
    """Reads a document from its beginning, through a window that is as long as a piece may be."""

    def __init__(self, text: str, max_chars: int) -> None:
        self._text = text
        self._max_chars = max_chars
        self._start = 0
        self._at = 0  # in the window
        self._slide()

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            character = self._window[self._at : self._at + 1]
            if character and character not in _SPACES:
                return character
            match = _SPACE.match(self._window, self._at)
            assert match is not None
            self._at = match.end()
            if self._at == len(self._window):
                if self._is_last:
                    return ""
                self._slide()

    def take(self, characters: str) -> str:
        """The next character, which must be one of these."""
        found = self.peek()
        if not found or found not in characters:
            raise ValueError(f"it has no {' or '.join(characters)} at character {self._start + self._at}")
        self._at += 1
        return found

    def elements(self) -> Iterator[Any]:
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        yield self.value()
        while self.take(",]") == ",":
            yield self.value()

    def key_by_key(self) -> Iterator[str]:
        """The keys of an object; after each, its value must be read."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise ValueError("it has a key that is not a string")  # noqa: TRY004  as for all mistakes of a document
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def members(self) -> Iterator[tuple[str, Any]]:
        for key in self.key_by_key():
            yield key, self.value()

    def value(self) -> Any:
        self.peek()
        try:
            return self._decode()
        except ValueError:
            if not self._at:
                raise
        self._slide()
        return self._decode()

    def _decode(self) -> Any:
        try:
            value, end = _JSON.raw_decode(self._window, self._at)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except json.JSONDecodeError as error:
            end, problem = len(self._window), f"{error.msg} at character {self._start + error.pos}"
        else:
            problem = ""
        if end > self._sure:
            problem = f"a part of it is longer than {self._max_chars} characters, or malformed"
        if problem:
            raise ValueError(problem)
        self._at = end
        return value

    def _slide(self) -> None:
        self._start += self._at
        self._at = 0
        self._window = self._text[self._start : self._start + self._max_chars]
        self._is_last = self._start + len(self._window) == len(self._text)
        # A value that ends up to here is complete in the window.
        self._sure = len(self._window) - (0 if self._is_last else _LOST_CHARS + 1)
