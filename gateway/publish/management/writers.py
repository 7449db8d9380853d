"""Who may change something at a page of the gateway's own, and whether they have sent its form."""

from gateway.access.gate import Gate, Writer
from gateway.access.login.own_pages import demand_no_foreign_page
from gateway.access.login.visit import Visit
from gateway.errors import ForbiddenError
from gateway.messages import RequestRecord
from gateway.principal import Right
from gateway.publish.management.fields import TOKEN


async def writer_of(gate: Gate, visit: Visit, record: RequestRecord, right: Right, *, trusted: bool) -> Writer:
    """Raises ForbiddenError for what a page of another site has sent, and what Gate.identify_writer raises."""
    if visit.method == "POST":
        demand_no_foreign_page(visit.headers, visit.base_url)
    return await gate.identify_writer(record, visit.headers, trusted=trusted, right=right, sessions=True)


def demand_own_form(gate: Gate, visit: Visit, writer: Writer) -> None:
    """Raises ForbiddenError if a browser's session sends what it was not shown."""
    if visit.method == "POST" and writer.method == "session":
        token = visit.form.get(TOKEN, "")
        if gate.login is None or not gate.login.is_own_form(visit.headers, token):
            raise ForbiddenError("the form was not shown to this session")


def token_of(gate: Gate, visit: Visit, record: RequestRecord) -> str:
    """What the session's form has to send back; empty if there is no session."""
    by_session = gate.login is not None and record.admission.method == "session"
    return gate.login.form_token(visit.headers) if gate.login is not None and by_session else ""
