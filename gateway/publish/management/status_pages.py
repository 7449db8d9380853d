"""The pages on which people say what has become of a project. Pure."""

from html import escape

from gateway.access.login.visit import Visit
from gateway.index.status.document import ACTIVE, ARCHIVED, DEPRECATED, QUARANTINED, STATUSES, ProjectStatus
from gateway.messages import BufferedResponse
from gateway.publish.management.fields import ACTION, REASON, STATUS, TOKEN
from gateway.publish.management.pages import back_to, hidden, page

_MEANING = {
    ACTIVE: "active: nothing is special",
    DEPRECATED: "deprecated: people should use something else",
    ARCHIVED: "archived: it takes no more files",
    QUARANTINED: "quarantined: nobody can have its files",
}


def question(
    visit: Visit, project: str, now: ProjectStatus, wanted: ProjectStatus | None, token: str
) -> BufferedResponse:
    """Asks what a project is to be. `token` is the session's, empty if there is none."""
    chosen = wanted or now
    fields = {ACTION: STATUS, TOKEN: token}
    lines = [
        f"<h1>Status of {escape(project)}</h1>",
        f"<p>{escape(now.of(project))}.</p>",
        f'<form method="post" action="{escape(visit.url(visit.page))}">',
        *hidden(fields),
        *(_choice(said, checked=said == chosen.marker) for said in STATUSES),
        f'<label for="{REASON}">Why? People and installers see it.</label>',
        f'<input id="{REASON}" name="{REASON}" value="{escape(chosen.reason)}">',
        "<button>Change the status</button>",
        "</form>",
        back_to(visit, project),
    ]
    return page(f"Status of {project}", lines, "'self'")


def done(visit: Visit, project: str, status: ProjectStatus) -> BufferedResponse:
    """Says what has been changed."""
    lines = [f"<h1>{escape(project)} is {status.marker}</h1>", f"<p>{escape(status.reason)}</p>"]
    return page(f"{project} is {status.marker}", [*lines, back_to(visit, project)], "'none'")


def _choice(said: str, *, checked: bool) -> str:
    box = f'<input type="radio" name="{STATUS}" value="{said}" required{" checked" if checked else ""}>'
    return f"<label>{box} {_MEANING[said]}</label>"
