"""`gateway token revoke`: puts tokens on the lists in the storages."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.access.tokens.keys import TokenKey
from gateway.access.tokens.revocations import KEY, Revocations
from gateway.access.tokens.token import PREFIX, TokenError, unverified, verify
from gateway.cli.token.configured import configured_keys
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.storage.base import Storage

_READING = 0o055  # of files, and of the directories on the way to them


async def revoke(
    settings: Settings, lists: Sequence[tuple[str, Storage]], given: Sequence[str], write: Callable[[str], None]
) -> int:
    """Revokes all that are given, or none. `lists` are the storages that have one, not started yet, each with the name
    of its mount if there are several mounts. Raises ConfigError for keys that can't be read."""
    try:
        if not given:
            raise ValueError("give ids of tokens, or tokens")
        keys = configured_keys(settings.with_access)
        ids = list(dict.fromkeys(_id(text, keys, number) for number, text in enumerate(given, 1)))
    except ValueError as error:
        return _refused(f"{error}; nothing was revoked")
    before, failed = frozenset(ids), False
    for mount, storage in lists:
        try:
            before &= await _added(storage, ids)
        except GatewayError as error:
            where = f"{KEY} of mount {mount}" if mount else KEY
            failed = bool(_refused(f"{where} can't be changed: {error.detail or error.public}"))
        finally:
            await storage.close()
    if failed:
        return 1
    for identity in ids:
        write(f"{identity} had been revoked before" if identity in before else f"{identity} is revoked")
    if not keys:
        print("gateway token revoke: note: this configuration has no access.tokens", file=sys.stderr)
    return 0


async def _added(storage: Storage, ids: Sequence[str]) -> frozenset[str]:
    """The ids that were on the list before. Raises GatewayError."""
    await storage.start()
    revocations = Revocations(storage)
    await revocations.read()
    before = await revocations.revoked() or frozenset()
    with _readable_by_all():
        await revocations.add(ids)
    return before


@contextmanager
def _readable_by_all() -> Iterator[None]:
    """What is written in a directory may be read by the gateway, which is another user after `sudo` and the like.
    Nothing on the list is secret."""
    mask = os.umask(0)
    os.umask(mask & ~_READING)
    try:
        yield
    finally:
        os.umask(mask)


def _id(text: str, keys: Sequence[TokenKey], number: int) -> str:
    """Raises ValueError, which does not quote what may be a token."""
    if text == "-":
        raise ValueError("- is no id; leave it out to have standard input read")
    if not text.startswith(PREFIX):
        if not text.isprintable() or text.split() != [text]:
            raise ValueError(f"number {number} is no id: it has spaces or control characters")
        return text
    try:
        claims = unverified(text)
    except TokenError as error:
        raise ValueError(f"number {number}: {error}") from None
    try:
        # Somebody could sign the id of another's token with a key of their own, and ask you to revoke it.
        return verify(text, keys, now=claims.expires - 1).id
    except TokenError as error:
        raise ValueError(
            f"token number {number}: {error}; to revoke it all the same, give its id, {claims.id!r}"
        ) from None


def _refused(why: str) -> int:
    print(f"gateway token revoke: {why}", file=sys.stderr)
    return 1
