"""Changes single links of a static page, and leaves everything else as it is. Pure."""

import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import takewhile
from typing import NamedTuple

from gateway.index.simple.markup import check_markup
from gateway.index.simple.names import normalize
from gateway.index.simple.pages import File, file_link, project_link
from gateway.index.simple.static_page import names_of, read
from gateway.index.simple.tags import StartTag, start_tags, with_attributes

_LINKS = {"a": frozenset[str](), "/a": frozenset[str]()}
_ENDS = {"/body": frozenset[str](), "/html": frozenset[str]()}
# The tags at the start of a page; the first link is behind them.
_HEAD = {"html": frozenset[str](), "head": frozenset[str](), "meta": frozenset({"name"}), "a": frozenset[str]()}
_STATUS, _STATUS_REASON = "pypi:project-status", "pypi:project-status-reason"
_LINE_BREAK = re.compile(r"[ \t]*<br[ \t]*/?>", re.IGNORECASE)
_YANKED = "data-yanked"
_METADATA = ("data-core-metadata", "data-dist-info-metadata")
_BREAK = "<br>"
_MAX_INDENT = 80


class _Link(NamedTuple):
    """Where a link is in a page: from `start`, until `end` with its line break; its start tag ends at `stop`. And its
    file, if it leads to one."""

    start: int
    stop: int
    end: int
    file: File | None


def with_file(page: str, file: File) -> str:
    """The page with a link to the file, behind all others. If there are links to it, those with another hash get that
    of the file, and its Requires-Python, unless its hash is not known. Raises ValueError for a page that can't be read,
    like all functions here, or has no place for a link."""
    links = [*_links(page)]
    same = [(link, link.file) for link in links if link.file is not None and link.file.name == file.name]
    if not same:
        return _added(page, file_link(file), links)
    sha256 = file.hashes.get("sha256")
    changed = [(link, old) for link, old in same if sha256 is not None and old.hashes.get("sha256") != sha256]
    return _replaced(page, ((link.start, link.stop, _of_other_bytes(page, link, old, file)) for link, old in changed))


def without_file(page: str, name: str) -> str:
    """The page without links to the file."""
    return _replaced(page, (_line_of(page, link) for link in _links(page) if link.file and link.file.name == name))


def with_yank(page: str, name: str, reason: str | None) -> str:
    """The page with the file's links marked as yanked; without the mark if `reason` is None."""
    marked = (
        (link.start, link.stop, with_attributes(page[link.start : link.stop], {_YANKED: reason}))
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


def _of_other_bytes(page: str, link: _Link, old: File, file: File) -> str:
    """The start tag of a link to `old`, whose bytes are those of `file` by now: what it said of others goes."""
    href = f"{old.url}#sha256={file.hashes['sha256']}"
    attributes: dict[str, str | None] = {"href": href, "data-requires-python": file.requires_python}
    if old.has_metadata:
        attributes |= dict.fromkeys(_METADATA, "true")
    return with_attributes(page[link.start : link.stop], attributes)


def _added(page: str, link: str, links: list[_Link]) -> str:
    """With one more link, on a line of its own: behind the last one of `links`, or else at the end of the page."""
    if links:
        at = links[-1].end
        return f"{page[:at]}\n{_indent(page, links[-1]) or ''}{link}{_BREAK}{page[at:]}"
    at = next((tag.start for tag in start_tags(page, _ENDS)), len(page))
    at = len(page[:at].rstrip(" \t"))
    changed = f"{page[:at]}{link}{_BREAK}\n{page[at:]}"
    if not any(tag.start == at for tag in start_tags(changed, _LINKS)):
        raise ValueError("it ends within a comment, a tag, or what is no text")
    return changed


def _line_of(page: str, link: _Link) -> tuple[int, int, str]:
    """Replaces a link by nothing, with its line if nothing else is there."""
    indent = _indent(page, link)
    if indent is None or page[link.end : link.end + 1] not in ("\n", ""):
        # With what follows, a `<` would become a tag.
        return link.start, link.end, " " if page.endswith(("<", "/"), 0, link.start) else ""
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
    """A link that is not ended ends with the text behind it, if another one follows."""
    check_markup(page)
    link: StartTag | None = None
    for tag in start_tags(page, _LINKS):
        if link is not None:
            following = page.find("<", link.stop, tag.start)
            yield _link(page, link, tag.stop if tag.name == "/a" else following if following >= 0 else tag.start)
        link = tag if tag.name == "a" else None
    if link is not None:
        yield _link(page, link, link.stop)


def _link(page: str, tag: StartTag, stop: int) -> _Link:
    line_break = _LINE_BREAK.match(page, stop)
    files = read(page[tag.start : tag.stop]).files
    return _Link(tag.start, tag.stop, line_break.end() if line_break else stop, files[0] if files else None)
