"""Tries what one mount has: who tells users, the storage, and the index in it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.access.gate import Gate
from gateway.cli import advice
from gateway.config.hints import owner_hints, policy_hints
from gateway.config.settings import Settings
from gateway.errors import ACCESS_DENIED, GatewayError
from gateway.index.catalog.census import count
from gateway.index.catalog.layout import Layout, recognise
from gateway.index.mirror.other_index import OtherIndex
from gateway.messages import ObjectRequest, Stream
from gateway.mounting.mount import Mount
from gateway.publish.condition.probe import Way, findings
from gateway.storage.base import Storage

Write = Callable[[str], None]


@dataclass
class Told:
    """What several mounts may have in common, and is told of the first."""

    gates: list[Gate] = field(default_factory=list)
    hints: set[str] = field(default_factory=set)


async def check_mount(settings: Settings, mount: Mount, told: Told, write: Write, *, writing: bool) -> bool:
    """Whether all is well. Raises ConfigError."""
    storage, gate, well = mount.storage, mount.access.gate, True
    if gate is not None and gate not in told.gates:
        told.gates.append(gate)
        well = await _check_access(gate, write)
    of_access = [*mount.access.hints(), *owner_hints(settings.publish)] if gate is not None else []
    hints = dict.fromkeys([*of_access, *policy_hints(settings)])
    for hint in [hint for hint in hints if hint not in told.hints]:
        write(f"      {hint}")
    told.hints |= hints.keys()
    if settings.policy.advisories is not None and mount.fallback is not None:
        well = await _check_advisories(mount.fallback.upstream, write) and well
    try:
        await storage.start()
        write(f"ok    storage      {storage}")
        async for step, found in storage.diagnose():
            write(f"ok    {step:<13}{found}" if step else f"      {found}")
        await _check_reading(storage, write)
        await _check_index(settings, storage, write)
        if writing:
            well = await _check_writing(storage, write, unsafe=settings.publish.unsafe) and well
        elif settings.publish.enabled:
            write("      Uploads are taken: gateway check --write tries whether only one of several writers wins.")
    except GatewayError as error:
        write(f"FAIL  {error.detail or error.public}")
        if (advised := advice.for_storage(error)) is not None:
            write(f"      {advised}")
        return False
    finally:
        await storage.close()
    return well


async def _check_access(gate: Gate, write: Write) -> bool:
    """Whether all that know passwords can be asked, and refuse a wrong one. Raises ConfigError."""
    try:
        await gate.start()
        faults = await gate.authentication.tried()
    finally:
        await gate.close()
    write(f"{'FAIL' if faults else 'ok':<6}access       {gate}")
    for method, fault in faults.items():
        write(f"      {method} {fault}")
    return not faults


async def _check_advisories(index: OtherIndex, write: Write) -> bool:
    """Whether they can be read."""
    from gateway.index.screening.advisories.advisories import Advisories
    from gateway.index.screening.screened_index import ScreenedIndex

    advisories = index.screen.source(Advisories) if isinstance(index, ScreenedIndex) else None
    if advisories is None:
        return True
    try:
        await advisories.look()
        stats = advisories.stats()
    finally:
        await advisories.close()
    if stats.failure:
        write(f"FAIL  advisories   {stats.source}: {stats.failure}")
        return False
    if stats.advisories is None:
        write("ok    advisories   another process is reading them now")
        return True
    write(f"ok    advisories   {stats.advisories:,} about {stats.projects:,} projects in {stats.source}")
    if stats.unreadable:
        write(f"      {stats.unreadable:,} more can't be read, and are left out.")
    return True


async def _check_index(settings: Settings, storage: Storage, write: Write) -> None:
    """Writes what the index would show, if the storage may be listed."""
    if settings.index.mode in ("off", "site"):
        return
    root = f"{settings.rewrite.add_prefix[1:]}/" if settings.rewrite.add_prefix else ""
    by_hash, named = settings.storage.prepend_hash, settings.index.layout
    try:
        layout = Layout(flat=by_hash or named == "flat")
        if named == "auto" and not by_hash:
            layout = await recognise(storage, root)
        census = await count(storage, root, layout, settings.rewrite.index_document)
    except GatewayError as error:
        if error.code != ACCESS_DENIED:
            raise
        return
    if layout.empty:
        return
    write(f"ok    index        {census}; layout: {'flat' if layout.flat else 'project'}")
    if census.misplaced:
        write(
            f"      Not shown: {census.misplaced:,} package files that are not in a project's folder at the top. "
            "Set index.layout to flat to show them."
        )


async def _check_reading(storage: Storage, write: Write) -> None:
    try:
        first = [item async for item in storage.list(limit=1)]
    except GatewayError as error:
        if error.code != ACCESS_DENIED:
            raise
        write("ok    reading      not tried: no key is known, because the bucket may not be listed")
        return
    if not first:
        write("ok    listing      no object yet: upload one")
        return
    key = first[0].key
    write(f"ok    listing      first key: {key!r}, {first[0].size} bytes")
    answer = await storage.fetch(ObjectRequest("GET", key))
    if isinstance(answer, Stream):
        try:
            if answer.body is not None:
                await anext(answer.body, b"")
        finally:
            answer.close()
    write("ok    reading      got its first bytes")


async def _check_writing(storage: Storage, write: Write, *, unsafe: bool) -> bool:
    """Whether only one of several writers of a key wins, or it is `unsafe` and told all the same."""
    heeded = True
    async for finding in findings(storage):
        word = "ok" if finding.heeded else "note" if unsafe else "FAIL"
        step = "writing" if finding.way is Way.WHOLE else "in parts"
        what = f"{finding.writers} at once" if finding.at_once else "a key twice"
        write(f"{word:<6}{step:<13}{what}: {finding.written} written, {finding.writers - finding.written} refused")
        if not finding.heeded:
            heeded = False
            write(f"      {advice.for_writing(at_once=finding.at_once)}")
    return heeded or unsafe
