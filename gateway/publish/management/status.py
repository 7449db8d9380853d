"""Where people and scripts say what has become of a project (PEP 792): the action `status` at `/-/manage/PROJECT/`.

| what somebody does                             | the right that it takes                                          |
|------------------------------------------------|------------------------------------------------------------------|
| marks it as archived, deprecated, active again | `write`                                                          |
| quarantines it                                 | `delete`: as if all its files were deleted, nobody can have them |
| ends a quarantine                              | both: uploads with stolen credentials may have been the reason   |
"""

from gateway.access.gate import Gate, Writer
from gateway.access.login.visit import Visit
from gateway.errors import BadRequestError
from gateway.index.resources import Resources
from gateway.index.simple.negotiation import is_browser
from gateway.index.status.document import STATUSES, ProjectStatus
from gateway.messages import BufferedResponse, RequestRecord
from gateway.principal import Right
from gateway.publish.life_cycle.marking import Marking
from gateway.publish.management import status_pages
from gateway.publish.management.fields import STATUS, status_of
from gateway.publish.management.writers import demand_own_form, token_of, writer_of
from gateway.publish.visibility import Visibility
from gateway.rights.policy import Resource
from gateway.single_flight import SingleFlight

_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


class StatusManagement:
    """Marks projects, by their normalised names."""

    def __init__(self, marking: Marking, resources: Resources, root: str, visibility: Visibility) -> None:
        """`root` is the key above all projects."""
        self._marking = marking
        self._resources = resources
        self._root = root
        self._visibility = visibility
        self._changing = SingleFlight[None]()

    async def close(self) -> None:
        await self._changing.close()

    async def answer(
        self, gate: Gate, visit: Visit, record: RequestRecord, project: str, *, trusted: bool
    ) -> BufferedResponse:
        """GET asks what the project is to be, POST makes it so. Raises GatewayErrors."""
        status = status_of(visit.fields)
        right = Right.WRITE if status is None or status.offers_files else Right.DELETE
        writer = await writer_of(gate, visit, record, right, trusted=trusted)
        # Before the project is looked for: whoever may not change it does not learn whether it is there.
        gate.admit_writer(record, writer, visit.headers, [self._resources.of(f"{self._root}{project}/")])
        demand_own_form(gate, visit, writer)
        resources = await self._resources_of(project)
        gate.admit_writer(record, writer, visit.headers, resources)
        now = await self._marking.of(project)
        if visit.method != "POST":
            return status_pages.question(visit, project, now, status, token_of(gate, visit, record))
        if status is None:
            raise BadRequestError("no status", public=f"Invalid change: the field {STATUS} is {', '.join(STATUSES)}")
        if not now.offers_files:
            gate.admit_writer(record, writer._replace(right=Right.DELETE), visit.headers, resources)
        may_lift = self._may_lift(gate, writer, resources)
        # Once begun, a change is made to its end, though the client leaves. Each is made for itself: since an equal one
        # has begun, another may have come.
        await self._changing.once(object(), lambda: self._make(project, status, may_lift=may_lift))
        if is_browser(visit.headers.get("Accept", "")):
            return status_pages.done(visit, project, status)
        return BufferedResponse(200, f"{status.of(project)}\n".encode(), dict(_TEXT))

    async def _resources_of(self, project: str) -> list[Resource]:
        """The project, and its files: rules for paths may speak of some."""
        files = await self._marking.files(project)
        keys = [f"{project}/", *(item.key for item in (files.objects if files is not None else ()))]
        return [self._resources.of(self._root + key) for key in keys]

    @staticmethod
    def _may_lift(gate: Gate, writer: Writer, resources: list[Resource]) -> bool:
        return all(gate.policy.judge(writer.principal, Right.DELETE, resource).allowed for resource in resources)

    async def _make(self, project: str, status: ProjectStatus, *, may_lift: bool) -> None:
        await self._marking.set(project, status, may_lift=may_lift)
        await self._visibility.show(project)
        if await self._marking.show(project):
            await self._visibility.show(project)
