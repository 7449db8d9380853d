"""Who comes in at a virtual index: the gates are those of its members."""

from collections.abc import Sequence

from gateway.access.access import Access
from gateway.entrance import Entrance
from gateway.errors import (
    CredentialsRequiredError,
    ForbiddenError,
    GatewayError,
    TooManyAttemptsError,
    without_frames,
)
from gateway.executors import current_mount
from gateway.http.target import relative_directory
from gateway.index.virtual import Visitor, visitor
from gateway.messages import Redirect, RequestRecord
from gateway.mounting.virtual import Place, VirtualMount
from gateway.principal import EVERYBODY, Admission
from gateway.server.protocol import Request


async def among_members(
    entrance: Entrance, virtual: VirtualMount, request: Request, record: RequestRecord, path: str, query: str
) -> Visitor | Place | Redirect:
    """Who asks for the root's page of a virtual index, or the member that answers. Raises what `admit` raises of
    the member that has the project; of all members if none has it, and then NotFoundError."""
    if virtual.root(path) is not None:
        return await _visitor(entrance, virtual, request, record)
    if virtual.root(f"{path}/") is not None:
        return Redirect(relative_directory(path, query))
    everywhere = virtual.everywhere(path)
    # Nothing is looked up for somebody whom no member lets in.
    if (elsewhere := await _anywhere(entrance, everywhere, request, record)) is not None:
        return elsewhere
    found = await virtual.places(everywhere)
    for place in found.places:
        if (elsewhere := await _at(entrance, place, request, record)) is not None:
            return elsewhere
    if found.failure is not None:
        raise found.failure
    return found.places[0]


async def _at(entrance: Entrance, place: Place, request: Request, record: RequestRecord) -> Redirect | None:
    """As `admit`, at one member."""
    current_mount.set(place.mount.name)  # if it hangs, then for its own clients
    record.key, record.admission = place.key, EVERYBODY
    gate = place.mount.access.gate
    if gate is None:
        return None
    return await entrance.admit(gate, request, record, place.mount.resources.of(record.key))


async def _anywhere(
    entrance: Entrance, everywhere: Sequence[Place], request: Request, record: RequestRecord
) -> Redirect | None:
    """As `admit`, at the first member that can't tell if none lets in, and at the first of all if all refuse: so the
    same answer is given to whatever is asked for."""
    refusals: list[GatewayError | Redirect] = []
    unknown: GatewayError | None = None
    for place in everywhere:
        try:
            elsewhere = await _at(entrance, place, request, record)
        except (CredentialsRequiredError, ForbiddenError) as error:
            refusals.append(without_frames(error))
        except GatewayError as error:
            unknown = unknown or without_frames(error)
        else:
            if elsewhere is None:
                return None
            refusals.append(elsewhere)
    first = unknown or refusals[0]
    if isinstance(first, GatewayError):
        raise first
    return first


async def _visitor(
    entrance: Entrance, virtual: VirtualMount, request: Request, record: RequestRecord
) -> Visitor | Redirect:
    """Raises what `admit` raises of the first member if nothing may be read at any of them."""
    results: dict[Access, Admission | Redirect | GatewayError] = {}
    for member in virtual.members:
        if (access := member.access) in results:
            continue
        results[access] = EVERYBODY
        if access.gate is not None:
            try:
                elsewhere = await entrance.admit(access.gate, request, record, member.resources.of(member.root))
                results[access] = elsewhere or record.admission
            except (CredentialsRequiredError, ForbiddenError, TooManyAttemptsError) as error:
                results[access] = without_frames(error)
    admitted = {access: result for access, result in results.items() if isinstance(result, Admission)}
    if not admitted:
        first = next(iter(results.values()))
        if isinstance(first, GatewayError):
            raise first
        assert isinstance(first, Redirect)
        return first
    # One that a gate has made says that the page is not for everybody.
    record.admission = next((one for one in admitted.values() if one.method), EVERYBODY)
    found = (admitted.get(member.access) for member in virtual.members)
    return visitor([one.principal if one is not None else None for one in found])
