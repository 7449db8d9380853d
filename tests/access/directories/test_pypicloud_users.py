"""The users in pypicloud's JSON."""

import json
from typing import Any

import pytest

from gateway.access.authenticator import Identity, Password
from gateway.access.directories.pypicloud_users import UsersError, parse_users

# Of `gunface`, as pypicloud's manual has it.
STORED = "$5$rounds=80000$yiWi67QBJLDTvbI/$d6qIG/bIoM3hp0lxH8v/vzxg8Qc4CJbxbxiUH4MlnE7"
GIVEN = Password("steve", "gunface")


async def test_users_groups_and_admins() -> None:
    found = {
        "users": {"steve": STORED, "dsa": STORED},
        "groups": {"shark": ["steve", "dsa"], "tatos": ["dsa"], "empty": []},
        "admins": ["dsa"],
        "packages": {"x": {"groups": {"g": ["read"]}}},
        "pending_users": {"late": STORED},
    }
    users = parse_users(json.dumps(found))
    assert await users.authenticate(GIVEN) == Identity("steve", frozenset({"shark"}))
    dsa = Identity("dsa", frozenset({"shark", "tatos"}), admin=True)
    assert await users.authenticate(Password("dsa", "gunface")) == dsa
    for nobody in (Password("steve", "x"), Password("Steve", "gunface"), Password("late", "gunface")):
        assert await users.authenticate(nobody) is None


@pytest.mark.parametrize("found", [{}, {"users": {}}, {"groups": {"g": ["steve"]}, "admins": ["steve"]}])
async def test_nobody_is_in_it(found: Any) -> None:
    assert await parse_users(json.dumps(found)).authenticate(GIVEN) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "[" * 60_000,
        '["hunter2"]',
        '{"users": ["hunter2"]}',
        '{"users": {"steve": null}}',
        '{"users": {"steve": {"hunter2": 1}}}',
        '{"groups": ["hunter2"]}',
        '{"groups": {"g": "hunter2"}}',
        '{"groups": {"g": [1]}}',
        '{"admins": "hunter2"}',
        '{"admins": {"hunter2": true}}',
        '{"admins": null}',
    ],
    ids=lambda text: text[:30],
)
def test_what_is_not_pypicloud_s_is_refused(text: str) -> None:
    with pytest.raises(UsersError) as caught:
        parse_users(text)
    assert "hunter2" not in str(caught.value)


async def test_a_hash_that_is_none_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    users = parse_users(json.dumps({"users": {"steve": STORED, "eve": "hunter2", "bob": ""}}))
    assert await users.authenticate(GIVEN) == Identity("steve")
    assert await users.authenticate(Password("eve", "hunter2")) is None
    assert "2 users have a hash of no supported kind" in caplog.text
    assert "hunter2" not in caplog.text
