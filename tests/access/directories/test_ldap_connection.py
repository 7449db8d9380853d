"""What a directory's answer to a bind means."""

from types import SimpleNamespace
from typing import Any

import ldap3
import pytest

from gateway.access.directories.ldap_connection import LdapConnection, LdapFailureError


def answering(code: int) -> LdapConnection:
    def rebind(*args: Any, **kwargs: Any) -> None:
        connection.result = {"result": code, "description": "somethingOrOther"}

    connection = SimpleNamespace(rebind=rebind, result=None)
    return LdapConnection(ldap3, connection, start_tls=False)


def test_success_is_the_only_success() -> None:
    assert answering(0).bind("uid=alice", "secret") is True


@pytest.mark.parametrize(("dn", "password"), [("uid=alice", ""), ("", "secret"), ("", "")])
def test_a_bind_as_nobody_is_not_sent(dn: str, password: str) -> None:
    assert answering(0).bind(dn, password) is False


@pytest.mark.parametrize("code", [19, 32, 34, 48, 49, 50, 53])
def test_these_refuse_the_user(code: int) -> None:
    assert answering(code).bind("uid=alice", "secret") is False


@pytest.mark.parametrize("code", [1, 2, 3, 7, 8, 10, 11, 13, 14, 51, 52, 80, 118, 4096])
def test_these_are_faults(code: int) -> None:
    with pytest.raises(LdapFailureError, match="answers a bind with somethingOrOther"):
        answering(code).bind("uid=alice", "secret")
