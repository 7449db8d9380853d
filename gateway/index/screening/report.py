"""What the policy decides at the moment, for people and scripts: `/-/policy`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

from gateway.http.short_page import CONTENT_TYPE, page_headers, short_page
from gateway.index.screening.screen import Screen
from gateway.index.simple.negotiation import is_browser
from gateway.messages import BufferedResponse
from gateway.policy.exceptions import PolicyException
from gateway.policy.verdict import Verdict, day

PATH = "/-/policy"
_MOST_FILES = 1000
_NOTHING = "<p>None.</p>"


def report(screens: Sequence[Screen], accept: str) -> BufferedResponse:
    """Of the projects that clients have asked this process for, in all of a mount's `screens`. A page for browsers, and
    JSON for all others."""
    told = sorted((one for screen in screens for one in screen.told()), key=lambda one: one[0])
    # There may be a million verdicts: no more are put in order than are shown.
    shown = [*islice(_verdicts(told), _MOST_FILES)]
    more = sum(len(verdicts) for _, verdicts in told) - len(shown)
    screen = screens[-1]  # exceptions and sources are those of all
    if is_browser(accept):
        page = short_page("Policy", [*_lines(screen, shown, more)])
        return _answer(page.encode(), {"Content-Type": CONTENT_TYPE, **page_headers()})
    body = json.dumps(_document(screen, shown, more), indent=2).encode() + b"\n"
    return _answer(body, {"Content-Type": "application/json"})


def _verdicts(told: Sequence[tuple[str, Mapping[str, Verdict]]]) -> Iterator[tuple[str, str, Verdict]]:
    for project, verdicts in told:
        for name in sorted(verdicts):
            yield project, name, verdicts[name]


def _answer(body: bytes, headers: Mapping[str, str]) -> BufferedResponse:
    return BufferedResponse(200, body, {**headers, "Cache-Control": "no-store", "Vary": "Accept"})


def _document(screen: Screen, shown: Sequence[tuple[str, str, Verdict]], more: int) -> dict[str, Any]:
    now = screen.clock()
    return {
        "files": [
            {
                "project": project,
                "file": name,
                "verdict": verdict.action.value,
                "reason": verdict.reason,
                "by": verdict.by,
                "opens": day(verdict.opens) if verdict.opens is not None else None,
            }
            for project, name, verdict in shown
        ],
        "more_files": more,
        "exceptions": [_exception(one, now) for one in screen.exceptions.all],
        "sources": screen.states(),
    }


def _exception(one: PolicyException, now: float) -> dict[str, Any]:
    return {
        "project": one.project,
        "versions": one.versions,
        "until": day(one.until),
        "over": one.until <= now,
        "reason": one.reason,
        "author": one.author,
    }


def _lines(screen: Screen, shown: Sequence[tuple[str, str, Verdict]], more: int) -> Iterator[str]:
    yield "<h1>Policy</h1>"
    yield '<p class="quiet">Of the projects that clients have asked this process for.</p>'
    yield "<h2>Files</h2>"
    items = "".join(f"<li>{escape(f'{name} {verdict}')}</li>" for _, name, verdict in shown)
    yield f"<ul>{items}</ul>" if items else _NOTHING
    if more:
        yield f"<p>And {more} more.</p>"
    yield "<h2>Exceptions</h2>"
    now = screen.clock()
    known = [
        f"{one.about} until {day(one.until)}{' (over)' if one.until <= now else ''}, by {one.author}: {one.reason}"
        for one in screen.exceptions.all
    ]
    yield f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in known)}</ul>" if known else _NOTHING
    for name, state in screen.states().items():
        yield f"<h2>{escape(name.capitalize())}</h2>"
        facts = "".join(f"<li>{escape(f'{key}: {value}')}</li>" for key, value in state.items())
        yield f"<ul>{facts}</ul>"
