"""Where people and scripts yank and delete what is published, and say what has become of a project:
`/-/manage/PROJECT/`.

| method | what it does                                                                                |
|--------|---------------------------------------------------------------------------------------------|
| GET    | asks whether the change is meant that the query describes                                   |
| POST   | makes the change that the form describes; that of a session has the token that GET gave out |
"""

import asyncio
from collections.abc import Sequence

from gateway.access.access import Access
from gateway.access.gate import Gate
from gateway.access.login.visit import Visit
from gateway.errors import NotFoundError
from gateway.index.resources import Resources
from gateway.index.simple.names import is_project_name, normalize
from gateway.index.simple.negotiation import is_browser
from gateway.messages import BufferedResponse, RequestRecord
from gateway.publish.life_cycle.change import Change
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.management import pages
from gateway.publish.management.fields import ACTION, STATUS, change_of
from gateway.publish.management.status import StatusManagement
from gateway.publish.management.writers import demand_own_form, token_of, writer_of
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
        self,
        life_cycle: LifeCycle,
        marks: StatusManagement | None,
        access: Access,
        resources: Resources,
        root: str,
        visibility: Visibility,
    ) -> None:
        """`root` is the key above all projects. Without `marks`, projects have no status."""
        self._marks = marks
        self._life_cycle = life_cycle
        self._access = access
        self._resources = resources
        self._root = root
        self._visibility = visibility
        self._changing = SingleFlight[None]()

    async def close(self) -> None:
        await self._changing.close()
        if self._marks is not None:
            await self._marks.close()

    async def answer(self, visit: Visit, record: RequestRecord, *, trusted: bool) -> BufferedResponse:
        """`trusted`: the headers come from a proxy that is believed. Raises GatewayErrors."""
        project = normalize(visit.page.removeprefix(PREFIX).removesuffix("/"))
        gate = self._access.gate
        if gate is None or not is_project_name(project):
            raise NotFoundError("there is nothing to manage")
        record.key = f"{self._root}{project}/"
        if visit.fields.get(ACTION) == STATUS:
            if self._marks is None:
                raise NotFoundError("no status is obeyed here", public="Projects have no status here (publish.status)")
            return await self._marks.answer(gate, visit, record, project, trusted=trusted)
        change = change_of(project, visit.fields)
        items = await self._permitted(gate, visit, record, change, trusted=trusted)
        names = [item.key.rpartition("/")[2] for item in items]
        if visit.method != "POST":
            return pages.confirmation(visit, change, names, token_of(gate, visit, record))
        # Once begun, a change is made to its end, though the client leaves. Each is made for itself: since an equal one
        # has begun, another may have come, or another file.
        await self._changing.once(object(), lambda: self._make(change, items))
        if is_browser(visit.headers.get("Accept", "")):
            return pages.done(visit, change, names)
        text = "".join(f"{name} {change.action.done}\n" for name in names)
        return BufferedResponse(200, text.encode(), dict(_TEXT))

    async def _permitted(
        self, gate: Gate, visit: Visit, record: RequestRecord, change: Change, *, trusted: bool
    ) -> Sequence[StoredObject]:
        """The files that are to be changed. Raises GatewayErrors."""
        headers = visit.headers
        writer = await writer_of(gate, visit, record, change.action.right, trusted=trusted)
        # Before the project is looked for: whoever may not change it does not learn whether it is there.
        gate.admit_writer(record, writer, headers, [self._resources.of(f"{self._root}{change.project}/")])
        demand_own_form(gate, visit, writer)
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
