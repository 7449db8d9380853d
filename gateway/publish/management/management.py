"""Where people and scripts yank and delete what is published: `/-/manage/PROJECT/`.

| method | what it does                                                                                |
|--------|---------------------------------------------------------------------------------------------|
| GET    | asks whether the change is meant that the query describes                                   |
| POST   | makes the change that the form describes; that of a session has the token that GET gave out |
"""

import asyncio
from collections.abc import Sequence

from gateway.access.access import Access
from gateway.access.gate import Gate
from gateway.access.login.own_pages import demand_no_foreign_page
from gateway.access.login.visit import Visit
from gateway.errors import ForbiddenError, NotFoundError
from gateway.index.resources import Resources
from gateway.index.simple.names import is_project_name, normalize
from gateway.index.simple.negotiation import is_browser
from gateway.messages import BufferedResponse, RequestRecord
from gateway.publish.life_cycle.change import Change
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.management import pages
from gateway.publish.management.fields import TOKEN, change_of
from gateway.publish.visibility import Visibility
from gateway.single_flight import SingleFlight
from gateway.storage.base import StoredObject

PREFIX = "manage/"
# How many files of a release are changed side by side; each takes some eight requests to the storage at most.
_SIDE_BY_SIDE = 8
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


class Management:
    """Without access control nobody may change anything here."""

    def __init__(
        self, life_cycle: LifeCycle, access: Access, resources: Resources, root: str, visibility: Visibility
    ) -> None:
        """`root` is the key above all projects."""
        self._life_cycle = life_cycle
        self._access = access
        self._resources = resources
        self._root = root
        self._visibility = visibility
        self._changing = SingleFlight[None]()

    async def close(self) -> None:
        await self._changing.close()

    async def answer(self, visit: Visit, record: RequestRecord, *, trusted: bool) -> BufferedResponse:
        """`trusted`: the headers come from a proxy that is believed. Raises GatewayErrors."""
        project = normalize(visit.page.removeprefix(PREFIX).removesuffix("/"))
        gate = self._access.gate
        if gate is None or not is_project_name(project):
            raise NotFoundError("there is nothing to manage")
        change = change_of(project, visit.fields)
        record.key = f"{self._root}{project}/"
        items = await self._permitted(gate, visit, record, change, trusted=trusted)
        names = [item.key.rpartition("/")[2] for item in items]
        if visit.method != "POST":
            login = gate.login
            by_session = login is not None and record.admission.method == "session"
            token = login.form_token(visit.headers) if login is not None and by_session else ""
            return pages.confirmation(visit, change, names, token)
        # Once begun, a change is made to its end, though the client leaves.
        await self._changing.once(change, lambda: self._make(change, items))
        if is_browser(visit.headers.get("Accept", "")):
            return pages.done(visit, change, names)
        text = "".join(f"{name} {change.action.done}\n" for name in names)
        return BufferedResponse(200, text.encode(), dict(_TEXT))

    async def _permitted(
        self, gate: Gate, visit: Visit, record: RequestRecord, change: Change, *, trusted: bool
    ) -> Sequence[StoredObject]:
        """The files that are to be changed. Raises GatewayErrors."""
        headers, right = visit.headers, change.action.right
        if visit.method == "POST":
            demand_no_foreign_page(headers)
        writer = await gate.identify_writer(record, headers, trusted=trusted, right=right, sessions=True)
        # Before the project is looked for: whoever may not change it does not learn whether it is there.
        gate.admit_writer(record, writer, headers, [self._resources.of(f"{self._root}{change.project}/")])
        if visit.method == "POST" and writer.method == "session":
            token = visit.form.get(TOKEN, "")
            if gate.login is None or not gate.login.is_own_form(headers, token):
                raise ForbiddenError("the form was not shown to this session")
        items = await self._life_cycle.chosen(change)
        gate.admit_writer(record, writer, headers, [self._resources.of(self._root + item.key) for item in items])
        return items

    async def _make(self, change: Change, items: Sequence[StoredObject]) -> None:
        """Raises the first error, when all that could be changed is seen."""
        side_by_side = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def apply(item: StoredObject) -> None:
            async with side_by_side:
                await self._life_cycle.apply(change, item)

        done = await asyncio.gather(*map(apply, items), return_exceptions=True)
        await self._visibility.show(change.project)
        if failed := [one for one in done if isinstance(one, BaseException)]:
            raise failed[0]
