"""Tokens that are revoked at one mount, and good at others by their keys."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError
from gateway.mounting.mount import Mount

# By mount, the ids on the list in its storage; None if that can't be read now.
Lists: TypeAlias = Mapping[Mount, frozenset[str] | None]

_LIST_SECONDS = 5.0
_PAUSE_SECONDS = 5.0

log = logging.getLogger("gateway.access")


class RevokedTokens:
    """Has each access control heed the lists of revoked tokens in the storages of all mounts that know one of its keys.
    It reads only its own again and again, which another configuration may have put elsewhere: in the storage of a mount
    that comes first, or has just got a section of its own."""

    def __init__(self, in_force: Callable[[], Sequence[Mount]]) -> None:
        """`in_force` tells the mounts."""
        self._in_force = in_force
        # The lists that were heeded last, and which keys each mount knew then.
        self._lists: Lists = {}
        self._known: Mapping[Mount, frozenset[bytes]] = {}
        self._log = LimitedLog(log)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes some seconds at most."""
        self.heed(await self.read([*self._knowing()]))
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def read(self, knowing: Sequence[Mount], before: Lists = MappingProxyType({})) -> Lists:
        """The lists of mounts, which all know tokens; those that have been read `before` are taken from there. Takes
        some seconds at most."""
        if len(knowing) < 2:
            return {}
        unread = [mount for mount in knowing if before.get(mount) is None]
        found = dict(zip(unread, await asyncio.gather(*map(self._list_of, unread)), strict=True))
        return {mount: found[mount] if mount in found else before[mount] for mount in knowing}

    def heed(self, lists: Lists) -> None:
        """`lists` are those of all mounts in force that know tokens."""
        known = self._knowing()
        for access, keys in {mount.access: keys for mount, keys in known.items() if mount in lists}.items():
            found = [ids for mount, ids in lists.items() if not keys.isdisjoint(known.get(mount, ()))]
            ids = frozenset[str]().union(*(one for one in found if one is not None))
            access.heed_revoked(ids, all_known=None not in found)
        self._lists, self._known = lists, known

    def _knowing(self) -> Mapping[Mount, frozenset[bytes]]:
        """The keys that each mount in force knows, if it knows any."""
        return {mount: keys for mount in self._in_force() if (keys := mount.access.token_keys)}

    async def _watch(self) -> None:
        """Reads the lists again if one could not be read, or the file's section `access` has got another key."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            mounts, knowing = self._in_force(), self._knowing()
            is_known = knowing == self._known
            lists = await self.read([*knowing], self._lists if is_known else {})
            # Unless a reload has put others in force meanwhile.
            if mounts is self._in_force() and not (is_known and lists == self._lists):
                self.heed(lists)

    async def _list_of(self, mount: Mount) -> frozenset[str] | None:
        """None if it can't be read now. One that is gone counts as it was, as a mount's own does: a volume that is not
        mounted and a lost permission look the same."""
        from gateway.access.tokens.revocations import listed

        try:
            async with asyncio.timeout(_LIST_SECONDS):
                found = await listed(mount.storage)
            if found is None and (last := self._last_of(mount.name)):
                why = f"the list of revoked tokens of mount {mount.name} is gone: %s"
                self._log.write(logging.WARNING, why, "the last one counts until a restart")
                return last
            return found or frozenset()
        except TimeoutError:
            why = f"no answer within {_LIST_SECONDS:g} s"
        except GatewayError as error:
            why = str(error)
        except Exception:  # of a storage of others
            log.exception("the list of revoked tokens of mount %s can't be read: this is a bug", mount.name)
            return None
        # A message of its own for each, so that one that fails often hides no other.
        self._log.write(logging.WARNING, f"the list of revoked tokens of mount {mount.name} can't be read: %s", why)
        return None

    def _last_of(self, name: str) -> frozenset[str] | None:
        """The list of the mount of this name, which a reload may have built anew."""
        return next((ids for mount, ids in self._lists.items() if mount.name == name), None)
