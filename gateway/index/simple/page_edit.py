"""Changes single links of a static page, and leaves everything else as it is. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html import escape
from itertools import takewhile
from typing import NamedTuple

from gateway.index.simple.markup import check_markup
from gateway.index.simple.names import normalize
from gateway.index.simple.pages import File, file_link, project_link
from gateway.index.simple.static_page import names_of, read
from gateway.index.simple.tags import StartTag, start_tags

_LINKS = {"a": frozenset({"href"})}
# The tags at the start of a page; the first link is behind them.
_HEAD = {"html": frozenset[str](), "head": frozenset[str](), "meta": frozenset({"name"}), "a": frozenset[str]()}
_STATUS, _STATUS_REASON = "pypi:project-status", "pypi:project-status-reason"
# The end of a link; or where another one begins, since it was not ended.
_LINK_END = re.compile(r"</a(?=[\s/>])[^>]{0,99}>|(?=<a[\s>])", re.IGNORECASE)
_LINE_BREAK = re.compile(r"[ \t]*<br[ \t]*/?>", re.IGNORECASE)
_BODY_END = re.compile(r"[ \t]*</(?:body|html)[\s>]", re.IGNORECASE)
_BREAK = "<br>"
_MAX_INDENT = 80


class _Link(NamedTuple):
    """Where a link is in a page: from `start`, until `stop` without and `end` with its line break; and its file, if it
    leads to one."""

    start: int
    stop: int
    end: int
    file: File | None


def with_file(page: str, file: File) -> str:
    """The page with a link to the file, behind all others. If there are links to it, those with another hash get that
    of the file, and its Requires-Python. Raises ValueError for a page that can't be read, like all functions here."""
    links = [*_links(page)]
    same = [(link, link.file) for link in links if link.file is not None and link.file.name == file.name]
    if not same:
        return _added(page, file_link(file), links)
    return _replaced(
        page,
        (
            (link.start, link.stop, file_link(replace(old, hashes=file.hashes, requires_python=file.requires_python)))
            for link, old in same
            if old.hashes.get("sha256") != file.hashes.get("sha256")
        ),
    )


def without_file(page: str, name: str) -> str:
    """The page without links to the file."""
    return _replaced(page, (_line_of(page, link) for link in _links(page) if link.file and link.file.name == name))


def with_yank(page: str, name: str, reason: str | None) -> str:
    """The page with the file's links marked as yanked; without the mark if `reason` is None."""
    marked = (
        (link.start, link.stop, file_link(replace(link.file, yanked=reason)))
        for link in _links(page)
        if link.file is not None and link.file.name == name
    )
    return _replaced(page, marked)


def with_project(page: str, name: str) -> str:
    """The root's page with a link to the project, by its normalised name, if it has none."""
    known = normalize(name) in names_of(page)
    return page if known else _added(page, project_link(name), [*_links(page)])


def with_status(page: str, status: str | None, reason: str) -> str:
    """A project's page that says its status (PEP 792), or none, if that is None."""
    check_markup(page)
    said = [tag for tag in start_tags(page, _HEAD) if tag.attributes.get("name") in (_STATUS, _STATUS_REASON)]
    page = _replaced(page, (_line_of(page, _link_of(tag)) for tag in said))
    if status is None:
        return page
    tags = [*start_tags(page, _HEAD)]
    if not tags:
        raise ValueError("it has no tags of HTML")
    lines = [f'<meta name="{_STATUS}" content="{escape(status)}">']
    if reason:
        lines.append(f'<meta name="{_STATUS_REASON}" content="{escape(reason)}">')
    head = [*takewhile(lambda tag: tag.name != "a", tags)]
    at = head[-1].stop if head else tags[0].start
    # On lines of their own where others are, so that nothing is left behind when they are removed.
    before, after = "", ""
    if head and page[at : at + 1] == "\n":
        before = "\n" + ("    " if head[-1].name != "meta" else _indent(page, _link_of(head[-1])) or "")
    elif not head and page[at - 1 : at] in ("\n", ""):
        after = "\n"
    return page[:at] + "".join(before + line + after for line in lines) + page[at:]


def _link_of(tag: StartTag) -> _Link:
    """A tag that stands for itself."""
    return _Link(tag.start, tag.stop, tag.stop, None)


def _added(page: str, link: str, links: list[_Link]) -> str:
    """With one more link, on a line of its own: behind the last one of `links`, or else at the end of the page."""
    if links:
        indent = _indent(page, links[-1])
        at, text = links[-1].end, f"\n{indent or ''}{link}{_BREAK}"
    else:
        end = _BODY_END.search(page)
        at, text = end.start() if end is not None else len(page), f"{link}{_BREAK}\n"
    return page[:at] + text + page[at:]


def _line_of(page: str, link: _Link) -> tuple[int, int, str]:
    """Replaces a link by nothing, with its line if nothing else is there."""
    indent = _indent(page, link)
    if indent is None or page[link.end : link.end + 1] not in ("\n", ""):
        return link.start, link.end, ""
    return link.start - len(indent), link.end + 1, ""


def _indent(page: str, link: _Link) -> str | None:
    """The blanks between the start of the line and the link; None if something else is there."""
    before = page[max(link.start - _MAX_INDENT, 0) : link.start]
    indent = before[before.rfind("\n") + 1 :]
    at_start = indent != before or link.start <= _MAX_INDENT
    return indent if at_start and not indent.strip() else None


def _replaced(page: str, changes: Iterable[tuple[int, int, str]]) -> str:
    """With other text from one position to another, in order."""
    parts, at = list[str](), 0
    for start, stop, text in changes:
        parts += page[at:start], text
        at = stop
    return "".join((*parts, page[at:]))


def _links(page: str) -> Iterator[_Link]:
    check_markup(page)
    for tag in start_tags(page, _LINKS):
        ended = _LINK_END.search(page, tag.stop)
        stop = ended.end() if ended is not None else tag.stop
        line_break = _LINE_BREAK.match(page, stop)
        files = read(page[tag.start : tag.stop]).files
        yield _Link(tag.start, stop, line_break.end() if line_break else stop, files[0] if files else None)
