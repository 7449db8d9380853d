"""Users of the configuration."""

import pytest

from gateway.access.authenticator import Authenticator, Identity, Password
from gateway.access.authenticators.users import Users
from gateway.errors import ConfigError
from tests.access.hashing.test_passwords import HASHES


async def test_a_user_of_the_configuration() -> None:
    users: Authenticator = Users({"alice": HASHES["$2b$"]})
    await users.start()
    assert await users.authenticate(Password("alice", "pässword")) == Identity("alice")
    assert await users.authenticate(Password("alice", "wrong")) is None
    await users.close()


def test_each_hash_that_is_of_no_use_is_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        Users({"alice": "hunter2", "bob": HASHES["$5$"], "": HASHES["$5$"]})
    assert [problem.key for problem in caught.value.problems] == ["access.users.alice", "access.users."]
    assert "hunter2" not in str(caught.value)
