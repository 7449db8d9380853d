"""The projects of several indexes as those of one: the first that has a project serves all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import NotFoundError, without_frames
from gateway.executors import PAGES, working_for
from gateway.index.catalog.listing import Projects
from gateway.index.generated.index import GeneratedIndex
from gateway.index.rendered import Sourced, sourced
from gateway.principal import Principal

_NONE = Projects({}, False)


@dataclass(frozen=True, slots=True)
class Visitor(Principal):
    """Who somebody is at each member, in their order; None where nothing may be read."""

    members: tuple[Principal | None, ...] = ()


def visitor(members: Sequence[Principal | None]) -> Visitor:
    views = ["-" if one is None else f"+{one.view}" for one in members]
    return Visitor(view="".join(f"{len(view)}:{view}" for view in views), members=tuple(members))


class VirtualProjects:
    """A ListedProjects of several indexes. A name that one of them has is not shown for another, be it readable there:
    it would lead to the former."""

    def __init__(self, members: Mapping[str, GeneratedIndex], memory: MemoryLimit) -> None:
        """`members` are by the names of their mounts."""
        self._members = members
        self._lists = LruCache[str, Sourced[Projects]](
            "projects of virtual indexes",
            memory,
            lambda view, found: weight_of(view) + weight_of(dict(found.value.folders)),
        )

    async def by(self, principal: Principal) -> RefreshedValue[Projects]:
        """`principal` is a Visitor. Raises NotFoundError if no member has any projects."""
        assert isinstance(principal, Visitor)
        lists = list[RefreshedValue[Projects]]()
        absent: NotFoundError | None = None
        for (name, member), who in zip(self._members.items(), principal.members, strict=True):
            with working_for(name):
                try:
                    everything = await member.projects()
                except NotFoundError as error:
                    absent = absent or without_frames(error)
                    continue
                readable = await member.readable(who, everything) if who is not None else RefreshedValue(_NONE, 0.0)
                lists += [everything, readable]
        if not lists:
            assert absent is not None
            raise absent
        values = [one.value for one in lists]
        known = self._lists.get(principal.view)
        if known is None or not known.stands(values, None):
            known = sourced(await PAGES.run(_merged, values), values, None)
            self._lists.put(principal.view, known)
        return RefreshedValue(known.value, max(one.age for one in lists), any(one.stale for one in lists))


def _merged(lists: Sequence[Projects]) -> Projects:
    """`lists` has for each index all of its projects, and those that may be read."""
    taken, shown = set[str](), set[str]()
    for everything, readable in zip(lists[::2], lists[1::2], strict=True):
        shown.update(name for name in readable.folders if name not in taken)
        taken.update(everything.folders)
    return Projects(dict.fromkeys(sorted(shown), ()), False)
