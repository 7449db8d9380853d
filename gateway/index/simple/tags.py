"""Reads the start tags of an HTML page in one pass, in a time that is linear in its length. Pure.

https://html.spec.whatwg.org/multipage/parsing.html#tokenization
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import escape, unescape
from typing import NamedTuple

_SPACE = r" \t\n\f\r"
# A comment, another declaration, or the slash of an end tag and a name.
_MARKUP = re.compile(rf"<(?:(!--)|([!?])|(/?)([A-Za-z][^{_SPACE}/>]*+))")
_COMMENT_END = re.compile(r"--!?>")
_TAG_END = re.compile(r">")
# The end of the tag; or a name, and the equals sign and the quote that follow it.
_ATTRIBUTE = re.compile(
    rf"[{_SPACE}/]*+(?:(>)|([^{_SPACE}/>][^{_SPACE}/>=]*+)(?:[{_SPACE}]*+(=)[{_SPACE}]*+([\"']?))?+)"
)
_UNQUOTED = re.compile(rf"[^{_SPACE}>]*+")
_QUOTE = {quote: re.compile(quote) for quote in "\"'"}
# The content of these elements is text, whatever it looks like.
_RAW_TEXT_END = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
_AFTER_VALUE = " \t\n\f\r>"
_MAX_VALUE = 8192
# For all tags together: attributes take most of the time. 20,000 links have some 100,000.
_MAX_ATTRIBUTES = 1_000_000


class StartTag(NamedTuple):
    """A tag's name and attributes, by lower-case names, and where it is in the page."""

    name: str
    attributes: dict[str, str]
    start: int
    stop: int


def start_tags(page: str, wanted: Mapping[str, frozenset[str]]) -> Iterator[StartTag]:
    """The tags that are keys of `wanted`, each with its attributes that the value names; end tags too, for keys such
    as `/a`.

    A tag is left out if such an attribute is over 8 KB, or has a character reference of thousands of digits. Raises
    ValueError if the page has over a million attributes.
    """
    position = 0
    budget = iter(range(_MAX_ATTRIBUTES))
    with suppress(_PageEndError):
        while True:
            markup = _find(_MARKUP, page, position)
            comment, declaration, slash, name = markup.groups()
            if comment:
                position = _find(_COMMENT_END, page, markup.end() - 2).end()  # `<!-->` is a whole comment
                continue
            if declaration:
                position = _find(_TAG_END, page, markup.end()).end()
                continue
            name = slash + name.lower()
            names = wanted.get(name)
            position, attributes = _attributes(page, markup.end(), names or frozenset(), budget)
            if names is not None and attributes is not None:
                yield StartTag(name, attributes, markup.start(), position)
            if name in _RAW_TEXT_END:
                position = _find(_RAW_TEXT_END[name], page, position).start()


def with_attributes(tag: str, attributes: Mapping[str, str | None]) -> str:
    """The text of a start tag with other values of these attributes, by lower-case names; without those that are None.
    All else in it stays. The tag is one that `start_tags` has found. Values are written in ASCII, which is the same in
    all charsets of pages."""
    markup = _find(_MARKUP, tag, 0)
    added = "".join(f' {name}="{_in_ascii(value)}"' for name, value in attributes.items() if value is not None)
    parts, kept, position = [tag[: markup.end()], added], markup.end(), markup.end()
    while not (attribute := _find(_ATTRIBUTE, tag, position))[1]:
        position = _value(tag, attribute)[1]
        if attribute[2].lower() in attributes:
            # Instead of a space, because what follows must not become a part of the value before.
            parts += tag[kept : attribute.start()], "" if tag[position] in _AFTER_VALUE else " "
            kept = position
    return "".join((*parts, tag[kept:]))


def _in_ascii(value: str) -> str:
    """The value of an attribute. Some control characters have no reference: that of U+0080 means the euro sign."""
    references = {character: f"&#{ord(character)};" for character in set(value) if not character.isascii()}
    known = {each: text if unescape(text) == each else "&#65533;" for each, text in references.items()}
    return "".join(known.get(character, character) for character in escape(value))


class _PageEndError(Exception):
    """The page ends within a tag, a comment or a raw text: it holds no more tags."""


def _find(pattern: re.Pattern[str], page: str, position: int) -> re.Match[str]:
    found = pattern.search(page, position)
    if found is None:
        raise _PageEndError
    return found


def _attributes(
    page: str, position: int, names: frozenset[str], budget: Iterator[int]
) -> tuple[int, dict[str, str] | None]:
    """Where the tag ends, and the attributes with these names; None if one of them is refused. Of two attributes with
    the same name, the first counts. `budget` has an item for each attribute that may still be read."""
    found: dict[str, str] = {}
    odd = False
    while True:
        attribute = _ATTRIBUTE.match(page, position)
        if attribute is None:
            raise _PageEndError
        start = attribute.end()
        if attribute[1]:
            return start, None if odd else found
        if next(budget, None) is None:
            raise ValueError("it has more attributes than any page")
        stop, position = _value(page, attribute)
        name = attribute[2].lower()
        if name not in names or name in found:
            continue
        if stop - start > _MAX_VALUE:
            odd = True
            continue
        try:
            found[name] = unescape(page[start:stop])
        except ValueError:
            odd = True


def _value(page: str, attribute: re.Match[str]) -> tuple[int, int]:
    """Where the value of an attribute ends, which begins where the match ends, and where the attribute does."""
    start, equals, quote = attribute.end(), attribute[3], attribute[4]
    if quote:
        stop = _find(_QUOTE[quote], page, start).start()
        return stop, stop + 1
    if not equals:
        return start, start
    unquoted = _UNQUOTED.match(page, start)
    assert unquoted is not None, "it matches nothing too"
    return unquoted.end(), unquoted.end()
