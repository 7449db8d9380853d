"""The pages on which people confirm that they yank or delete files. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

from gateway.access.login.visit import Visit
from gateway.http.short_page import CONTENT_TYPE, page_headers, short_page
from gateway.messages import BufferedResponse
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.management.fields import ACTION, FILE, FORGET, REASON, TOKEN, VERSION

_TITLES = {Action.YANK: "Yank", Action.UNYANK: "Take the mark back", Action.DELETE: "Delete"}
_MEANING = {
    Action.YANK: "Installers will choose a yanked file only if a requirement demands exactly its version.",
    Action.UNYANK: "Installers will choose the files again.",
    Action.DELETE: "This can't be undone. What is deleted is gone, and its name does not come back with other content.",
}


def confirmation(visit: Visit, change: Change, files: Sequence[str], token: str) -> BufferedResponse:
    """Asks whether a change is meant. `token` is the session's, empty if there is none."""
    action = change.action
    fields = {ACTION: action.value, VERSION: str(change.version), FILE: change.file or "", TOKEN: token}
    lines = [
        f"<h1>{_TITLES[action]} {_release(change)}</h1>",
        f"<p>{_MEANING[action]}</p>",
        _listed(files),
        f'<form method="post" action="{escape(visit.url(visit.page))}">',
        *hidden(fields),
        *_more(action),
        f"<button>{_TITLES[action]}</button>",
        "</form>",
        back_to(visit, change.project),
    ]
    return page(f"{_TITLES[action]} {change.project} {change.version}", lines, "'self'")


def hidden(fields: Mapping[str, str]) -> list[str]:
    """The fields of a form that nobody fills in; empty ones are left out."""
    return [f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items() if value]


def done(visit: Visit, change: Change, files: Sequence[str]) -> BufferedResponse:
    """Says what has been changed."""
    lines = [f"<h1>{_release(change)} {change.action.done}</h1>", _listed(files), back_to(visit, change.project)]
    return page(f"{change.project} {change.version} {change.action.done}", lines, "'none'")


def _more(action: Action) -> list[str]:
    if action is Action.YANK:
        label = "Why? People and installers see it."
        return [f'<label for="{REASON}">{label}</label>', f'<input id="{REASON}" name="{REASON}" autofocus>']
    if action is Action.DELETE:
        box = f'<input type="checkbox" name="{FORGET}" value="yes">'
        return [f"<label>{box} Let other files have these names later</label>"]
    return []


def _release(change: Change) -> str:
    return escape(change.file or f"{change.project} {change.version}")


def _listed(files: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(name)}</li>' for name in files)}</ul>"


def back_to(visit: Visit, project: str) -> str:
    """Links to the project's page, and to that of the root."""
    return (
        f'<p><a href="{escape(visit.root + project)}/">{escape(project)}</a>'
        f' · <a href="{escape(visit.root)}">All packages</a></p>'
    )


def page(title: str, lines: list[str], forms_go: str) -> BufferedResponse:
    """`lines` are HTML; `forms_go` is where forms may be sent (see page_headers)."""
    # With a referrer, browsers say in `Origin` that a form is the gateway's own.
    headers = page_headers(forms_go=forms_go) | {"Referrer-Policy": "same-origin"}
    fields = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", **headers}
    return BufferedResponse(200, short_page(title, lines).encode(), fields)
