"""Tokens that are revoked at one mount, and good at others by their keys."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
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
        # Which keys each mount knew when the lists of all of them were heeded last; None if one could not be read.
        self._heeded: Mapping[Mount, frozenset[bytes]] | None = None
        self._log = LimitedLog(log)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes some seconds at most."""
        self.heed(await self.read([mount for mount in self._in_force() if mount.access.token_keys]))
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def read(self, knowing: Sequence[Mount]) -> Lists:
        """The lists of mounts, which all know tokens. Takes some seconds at most."""
        if len(knowing) < 2:
            return {}
        return dict(zip(knowing, await asyncio.gather(*map(self._list_of, knowing)), strict=True))

    def heed(self, lists: Lists) -> None:
        """`lists` are those of all mounts in force that know tokens."""
        known = {mount: mount.access.token_keys for mount in self._in_force()}
        for access, keys in {mount.access: known[mount] for mount in lists}.items():
            found = [ids for mount, ids in lists.items() if not keys.isdisjoint(known[mount])]
            ids = frozenset[str]().union(*(one for one in found if one is not None))
            access.heed_revoked(ids, all_known=None not in found)
        self._heeded = known if None not in lists.values() else None

    async def _watch(self) -> None:
        """Reads the lists again if one could not be read, or the file's section `access` has got another key."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            mounts = self._in_force()
            if self._heeded != {mount: mount.access.token_keys for mount in mounts}:
                lists = await self.read([mount for mount in mounts if mount.access.token_keys])
                if mounts is self._in_force():  # no reload has put others in force meanwhile
                    self.heed(lists)

    async def _list_of(self, mount: Mount) -> frozenset[str] | None:
        """None if it can't be read now."""
        from gateway.access.tokens.revocations import listed

        try:
            async with asyncio.timeout(_LIST_SECONDS):
                return await listed(mount.storage)
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
