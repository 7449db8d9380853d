"""No directory is asked about credentials that nobody can have."""

import pytest

from gateway.access.authenticator import BearerToken, Credential, Password
from gateway.access.authenticators.presented import presented


@pytest.mark.parametrize(
    "credential",
    [
        BearerToken("alice"),
        Password("", ""),
        Password("alice", ""),
        Password("", "secret"),
        Password("alice\0", "secret"),
        Password("alice", "\0secret"),
        Password("alice", "sécret\udcff"),
        Password("\udcff", "secret"),
    ],
)
def test_nobody_has_such_a_credential(credential: Credential) -> None:
    assert presented(credential) is None


@pytest.mark.parametrize("credential", [Password("alice", "secret"), Password("älice", "Пароль 密码 🔑")])
def test_anybody_may_have_such_a_password(credential: Password) -> None:
    assert presented(credential) is credential
