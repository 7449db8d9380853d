"""Users named in the configuration, with the hashes of their passwords."""

from collections.abc import Mapping

from gateway.access.authenticator import Credential, Identity
from gateway.access.hashing.passwords import parse, require_libraries
from gateway.access.user_table import UserTable
from gateway.errors import ConfigError, Problem


class Users:
    method = "users"
    guessable = True

    def __init__(self, users: Mapping[str, str]) -> None:
        """`users` maps names to hashes. Raises ConfigError, which has a problem for each hash that can't be used."""
        hashes, problems = {}, []
        for name, text in users.items():
            try:
                if not name:
                    raise ValueError("a user without a name")
                hashes[name] = parse(text)
            except ValueError as error:
                problems.append(Problem(f"access.users.{name}", "configuration", str(error)))
        if problems:
            raise ConfigError(problems)
        self._table = UserTable(hashes)

    async def start(self) -> None:
        require_libraries()

    async def authenticate(self, credential: Credential) -> Identity | None:
        return await self._table.identify(credential)

    async def close(self) -> None:
        pass
