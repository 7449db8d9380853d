"""Tokens that are revoked at one mount, and good at others by their keys."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gateway.errors import GatewayError
from gateway.mounting.mount import Mount

# By mount, the ids on the list in its storage; None if that can't be read now.
Lists: TypeAlias = Mapping[Mount, frozenset[str] | None]

_SECONDS = 5.0

log = logging.getLogger("gateway.access")


async def read_lists(mounts: Sequence[Mount]) -> Lists:
    """The lists of those that know tokens. Takes some seconds at most."""
    knowing = [mount for mount in mounts if _keys(mount)]
    if len(knowing) < 2:
        return {}
    return dict(zip(knowing, await asyncio.gather(*map(_list_of, knowing)), strict=True))


def heed(lists: Lists) -> None:
    """Has each access control heed the lists of revoked tokens in the storages of all mounts that know one of its keys.
    It reads only its own again and again, which another configuration may have put elsewhere: in the storage of a mount
    that comes first, or has just got a section of its own."""
    for access, keys in {mount.access: _keys(mount) for mount in lists}.items():
        found = [ids for mount, ids in lists.items() if not keys.isdisjoint(_keys(mount))]
        ids = frozenset[str]().union(*(one for one in found if one is not None))
        access.heed_revoked(ids, all_known=None not in found)


async def _list_of(mount: Mount) -> frozenset[str] | None:
    """None if it can't be read now."""
    from gateway.access.tokens.revocations import listed

    try:
        async with asyncio.timeout(_SECONDS):
            return await listed(mount.storage)
    except TimeoutError:
        why = f"no answer within {_SECONDS:g} s"
    except GatewayError as error:
        why = str(error)
    except Exception:  # of a storage of others
        log.exception("the list of revoked tokens of mount %s can't be read: this is a bug", mount.name)
        return None
    log.warning("the list of revoked tokens of mount %s can't be read: %s", mount.name, why)
    return None


def _keys(mount: Mount) -> frozenset[str]:
    """What the settings say of the keys of tokens."""
    access = mount.settings.access
    return frozenset(key.get_secret_value() for key in access.tokens.keys) if access is not None else frozenset()
