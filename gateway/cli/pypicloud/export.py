"""Reads the JSON of pypicloud's rights: what `ppc-export` writes, or what the backend of AWS Secrets Manager keeps.

| `ppc-export`                                                | AWS Secrets Manager                              |
|-------------------------------------------------------------|--------------------------------------------------|
| users: [{username: u, password: hash, admin: true}]         | users: {u: hash}, admins: [u]                    |
| groups: {g: [u]}                                            | groups: {g: [u]}                                 |
| packages: {users: {p: {u: [read]}}, groups: {p: {g: [read]}}} | packages: {p: {users: {u: [read]}, groups: …}} |
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.cli.pypicloud.source import PasteSettings, Source, SourceError, group_subject
from gateway.rights.subjects import Subject

_KNOWN = {"users", "groups", "packages", "admins", "allow_register", "allow_registration", "version", "pending_users"}
_RIGHTS = frozenset({"read", "write"})


def read_export(text: str, name: str) -> Source:
    """`name` is that of the file. Raises SourceError."""
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except SourceError:
        raise
    except (ValueError, RecursionError):
        raise SourceError("is no JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("users"), list | dict):
        raise SourceError("is no JSON of pypicloud's rights: it has no users")
    try:
        text.encode()
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise SourceError("has half a character (\\ud800 or the like)") from None
    users, packages = found["users"], _mapping(found, "packages")
    if isinstance(users, list):
        hashes, admins = _exported_users(users)
        entries = _entries(_mapping(packages, "users"), _mapping(packages, "groups"))
    else:
        hashes, admins = (
            {user: _hash(stored) for user, stored in users.items()},
            _names(found.get("admins", []), "admins"),
        )
        parts = {package: _mapping(packages, package) for package in packages}
        entries = _entries(
            *({package: _mapping(part, kind) for package, part in parts.items()} for kind in ("users", "groups"))
        )
    groups = {group: _names(members, "groups") for group, members in _mapping(found, "groups").items()}
    complaints = [
        (key, "is no part of this format that is known, and is left out") for key in sorted(found.keys() - _KNOWN)
    ]
    if found.get("pending_users"):
        complaints.append(("pending_users", "are left out, because no admin has approved them"))
    return Source(name, PasteSettings(), True, hashes, admins, groups, entries, complaints)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SourceError("has a key twice in one object")
    return found


def _mapping(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = found.get(key, {})
    if not isinstance(value, dict):
        raise SourceError(f"is no JSON of pypicloud's rights: {key if key in _KNOWN else 'a package'} is no object")
    return value


def _names(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SourceError(f"is no JSON of pypicloud's rights: {what} has something else than a list of names")
    return value


def _hash(stored: Any) -> str:
    if not isinstance(stored, str | None):
        raise SourceError("is no JSON of pypicloud's rights: a password's hash is no text")
    return stored or ""


def _exported_users(users: list[Any]) -> tuple[dict[str, str], list[str]]:
    hashes: dict[str, str] = {}
    for user in users:
        if not isinstance(user, dict) or not isinstance(user.get("username"), str):
            raise SourceError("is no JSON of pypicloud's rights: a user has no username")
        if user["username"] in hashes:
            raise SourceError("has a user twice")
        if not isinstance(user.get("admin", False), bool | None):
            raise SourceError("is no JSON of pypicloud's rights: whether a user is an admin is no truth value")
        hashes[user["username"]] = _hash(user.get("password"))
    return hashes, [user["username"] for user in users if user.get("admin")]


def _entries(users: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, dict[Subject, frozenset[str]]]:
    found: dict[str, dict[Subject, frozenset[str]]] = {}
    for package, subject, rights in _all(users, groups):
        found.setdefault(package, {})[subject] = frozenset(rights) & _RIGHTS
    return found


def _all(users: Mapping[str, Any], groups: Mapping[str, Any]) -> Iterator[tuple[str, Subject, list[str]]]:
    for package in users:
        for user, rights in _mapping(users, package).items():
            yield package, Subject("user", user), _names(rights, "packages")
    for package in groups:
        for group, rights in _mapping(groups, package).items():
            yield package, group_subject(group), _names(rights, "packages")
