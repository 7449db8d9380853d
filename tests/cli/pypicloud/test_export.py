"""The JSON of pypicloud's rights, and what is wrong with one."""

import pytest

from gateway.cli.pypicloud.export import read_export
from gateway.cli.pypicloud.source import SourceError

SECRET = "hunter2S3cr3t"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("{" * 100_000, "is no JSON"),
        ('{"users": ' + "[" * 100_000, "is no JSON"),
        ('{"users": ' + "1" * 5000 + "}", "is no JSON"),
        ("{}", "is no JSON of pypicloud's rights: it has no users"),
        ('{"users": "x"}', "is no JSON of pypicloud's rights: it has no users"),
        ('{"users": [], "users": []}', "has a key twice in one object"),
        ('{"users": [{"username": "a"}, {"username": "a"}]}', "has a user twice"),
        ('{"users": ["a"]}', "is no JSON of pypicloud's rights: a user has no username"),
        ('{"users": [{"username": 3}]}', "is no JSON of pypicloud's rights: a user has no username"),
        (
            '{"users": [{"username": "a", "password": 3}]}',
            "is no JSON of pypicloud's rights: a password's hash",
        ),
        (
            '{"users": [{"username": "a", "admin": "no"}]}',
            "is no JSON of pypicloud's rights: whether a user is",
        ),
        ('{"users": {"a": ["x"]}}', "is no JSON of pypicloud's rights: a password's hash"),
        (
            '{"users": {}, "admins": "a"}',
            "is no JSON of pypicloud's rights: admins has something else",
        ),
        ('{"users": [], "groups": []}', "is no JSON of pypicloud's rights: groups is no object"),
        ('{"users": [], "groups": {"g": [1]}}', "is no JSON of pypicloud's rights: groups has something else"),
        ('{"users": [], "packages": {"users": {"p": []}}}', "is no JSON of pypicloud's rights: a package is no object"),
        ('{"users": [], "packages": {"users": {"p": {"u": "rw"}}}}', "is no JSON of pypicloud's rights: packages has"),
        ('{"users": {}, "packages": {"p": []}}', "is no JSON of pypicloud's rights: a package is no object"),
        ('{"users": [{"username": "\\ud800"}]}', "has half a character"),
    ],
)
def test_what_can_not_be_read(text: str, why: str) -> None:
    with pytest.raises(SourceError) as refused:
        read_export(text.replace("a key", SECRET), "dump.json")
    assert str(refused.value).startswith(why)


def test_what_is_left_out_is_told() -> None:
    source = read_export('{"users": {}, "pending_users": {"eve": "x"}, "extra": 1}', "dump.json")
    assert [about for about, _ in source.complaints] == ["extra", "pending_users"]
    assert dict(source.users) == {}


def test_a_user_may_have_no_password_and_a_package_no_entry() -> None:
    text = '{"users": [{"username": "a", "admin": null}], "packages": {"users": {"p": {}}, "groups": {"q": {"g": []}}}}'
    source = read_export(text, "dump.json")
    assert (dict(source.users), list(source.admins)) == ({"a": ""}, [])
    assert {name: dict(found) for name, found in source.packages.items() if found}.keys() == {"q"}
