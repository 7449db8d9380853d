"""The users in the JSON of pypicloud: {"users": {"u": "hash"}, "groups": {"g": ["u"]}, "admins": ["u"]}.

Rights on packages and users whom no admin has approved (`pending_users`) are in it too, and left out.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.access.authenticator import Identity, Password
from gateway.access.hashing.passwords import PasswordHash, parse
from gateway.access.user_table import UserTable

log = logging.getLogger("gateway.access")


class UsersError(ValueError):
    """Says what is wrong with the JSON, without quoting it."""


@dataclass(frozen=True, slots=True)
class PypicloudUsers:
    """The users at one moment."""

    passwords: UserTable
    groups: Mapping[str, frozenset[str]]
    admins: frozenset[str]

    async def authenticate(self, given: Password) -> Identity | None:
        found = await self.passwords.identify(given)
        if found is None:
            return None
        groups = frozenset(group for group, members in self.groups.items() if found.name in members)
        return replace(found, groups=groups, admin=found.name in self.admins)


def parse_users(text: str) -> PypicloudUsers:
    """Raises UsersError. Users whose hash is of no supported kind are left out, and logged without it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise UsersError("is not JSON") from None
    if not isinstance(found, dict):
        raise UsersError("is not an object of users, groups and admins")
    users, groups = found.get("users", {}), found.get("groups", {})
    if not isinstance(users, dict) or not all(isinstance(stored, str) for stored in users.values()):
        raise UsersError("has users that are not names with a hash each")
    if not isinstance(groups, dict):
        raise UsersError("has groups that are not names with a list of users each")
    members = {name: _names(several, "groups") for name, several in groups.items()}
    return PypicloudUsers(UserTable(_hashes(users)), members, _names(found.get("admins", []), "admins"))


def _hashes(users: Mapping[str, str]) -> dict[str, PasswordHash]:
    hashes, left_out = {}, 0
    for name, stored in users.items():
        try:
            hashes[name] = parse(stored)
        except ValueError:
            left_out += 1
    if left_out:
        log.warning("secrets-manager: %d users have a hash of no supported kind, and can't log in", left_out)
    return hashes


def _names(value: Any, key: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UsersError(f"has {key} that are not lists of names")
    return frozenset(value)
