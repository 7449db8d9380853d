"""Who may do what in pypicloud 1.3 with its backend `config`, written from its documentation and what its code does. It
shares nothing with gateway/cli/pypicloud."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SYSTEM = {"system.Everyone": "everyone", "system.Authenticated": "authenticated"}


@dataclass(frozen=True)
class Pypicloud:
    """`settings` are those of [app:main], as text. `mode` is that of the fallback."""

    settings: Mapping[str, str]

    def may(self, user: str | None, right: str, package: str) -> bool:
        """`package` is a normalised name. The fallback's right is that of having files stored, and so needs read."""
        if right == "delete":
            return self._has(user, "write", package) and self._is_among(user, self._deleters())
        if right == "fallback":
            updates = self._list("pypi.cache_update", "authenticated")
            stored = self.settings.get("pypi.fallback") != "cache" or self._is_among(user, updates)
            return stored and self._has(user, "read", package) and self._has(user, "fallback", package)
        return self._has(user, right, package)

    def is_admin(self, user: str | None) -> bool:
        return user is not None and user in self._list("auth.admins", "")

    def _list(self, key: str, default: str) -> list[str]:
        return self.settings.get(key, default).split()

    def _deleters(self) -> list[str]:
        if self.settings.get("pypi.allow_delete", "true") != "true":
            return []
        return self._list("pypi.allow_delete_groups", "authenticated")

    def _groups(self, user: str) -> list[str]:
        groups = (key.removeprefix("group.") for key in self.settings if key.startswith("group."))
        return [group for group in groups if user in self._list(f"group.{group}", "")]

    def _has(self, user: str | None, permission: str, package: str) -> bool:
        if self.is_admin(user):
            return True
        table = self._table(package)
        return any(permission in table.get(principal, set()) for principal in self._principals(user))

    def _principals(self, user: str | None) -> Iterator[str]:
        yield "everyone"
        if user is not None:
            yield from ["authenticated", f"user:{user}", *(f"group:{group}" for group in self._groups(user))]

    def _table(self, package: str) -> dict[str, set[str]]:
        """Permissions by principal. The defaults are for packages without any entry."""
        table: dict[str, set[str]] = {}
        for kind in ("user", "group"):
            for key, text in self.settings.items():
                if key.startswith(beginning := f"package.{package}.{kind}."):
                    name = key.removeprefix(beginning)
                    granted = {right for right in ("read", "write") if right[0] in text}
                    table[f"user:{name}" if kind == "user" else _principal(name)] = granted
        if not table:
            for right, default in (("read", "authenticated"), ("write", "")):
                for group in self._list(f"pypi.default_{right}", default):
                    table.setdefault(_principal(group), set()).add(right)
        if package not in self._list("pypi.disallow_fallback", ""):
            for granted in table.values():
                granted.add("fallback")
        return table

    def _is_among(self, user: str | None, groups: list[str]) -> bool:
        if {"everyone", "system.Everyone"} & set(groups):
            return True
        if user is None:
            return False
        if {"authenticated", "system.Authenticated"} & set(groups) or ("admin" in groups and self.is_admin(user)):
            return True
        return bool(set(groups) & set(self._groups(user)))


def _principal(group: str) -> str:
    if group.startswith("group:"):
        return group
    plain = _SYSTEM.get(group, group)
    return plain if plain in ("everyone", "authenticated") else f"group:{plain}"
