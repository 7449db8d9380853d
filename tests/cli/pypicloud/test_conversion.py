"""What becomes of settings other than rights, and that the gateway loads whatever is made."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.hashing.passwords import parse
from gateway.cli.pypicloud.conversion import LOCKED, convert
from gateway.cli.pypicloud.document import yaml_text
from gateway.cli.pypicloud.ini import read_ini
from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import SourceError
from gateway.config.load import load_text
from tests.cli.pypicloud.test_rights import HASH

SECRET = "hunter2S3cr3t"
USER = {"user.alice": HASH}
S3 = {"pypi.storage": "s3", "storage.bucket": "bucket"}
CLOUDFRONT = {
    "pypi.storage": "cloudfront",
    "storage.bucket": "bucket",
    "storage.cloud_front_domain": "https://x.net",
    "storage.redirect_urls": "true",
}


def converted(values: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The document, which the gateway has loaded, and the report."""
    lines = [f"{key} = {text}" for key, text in values.items()]
    report = Report()
    document = convert(read_ini("\n".join(["[app:main]", *lines]), Path("server.ini")), report)
    text = yaml_text(document, "x")
    load_text(text, "x")
    remarks = [str(remark) for remark in report.remarks]
    assert SECRET not in "".join(remarks)
    return yaml.safe_load(text), remarks


def told(remarks: list[str], beginning: str) -> bool:
    return any(remark.startswith(beginning) for remark in remarks)


def test_a_hash_that_can_not_be_used_is_replaced_by_one_that_no_password_has() -> None:
    values = {"user.bob": "$pbkdf2-sha256$x", "user.carol": "", "user.dave": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}
    document, remarks = converted({**values, "auth.admins": "bob"})
    assert document["access"]["users"] == {"bob": LOCKED, "carol": LOCKED, "dave": values["user.dave"]}
    assert not parse(LOCKED).verify(b"")
    assert told(remarks, "users: the hash of 'bob' is no hash of a known kind")
    assert told(remarks, "users: 'carol' has no hash")
    assert told(remarks, "users: 'dave' can log in here: pypicloud does not know hashes of the kind SHA")


def test_names_that_nobody_can_have_are_left_out() -> None:
    long = "x" * 300
    values = {f"user.{long}": HASH, f"group.{long}": "alice", "group.g": f"alice {long}", "auth.admins": f"a:b {long}"}
    values |= {f"package.a.user.{long}": "rw", "package.a!.user.alice": "r", "pypi.default_read": "a:b"}
    document, remarks = converted(USER | values)
    access = document["access"]
    assert access["users"] == {"alice": HASH}
    assert (access["groups"], access["admins"], access["default_read"]) == ({"g": ["alice"]}, [], [])
    assert access["rules"] == [{"projects": ["a"], "only": True}]
    for beginning in ("users: 'x", "groups: 'x", "group.g: 'x", "auth.admins: 'a:b'", "package 'a'", "package 'a!'"):
        assert told(remarks, beginning), beginning
    assert told(remarks, "pypi.default_read: 'a:b' is left out")


@pytest.mark.parametrize(
    ("values", "expected", "remark"),
    [
        ({}, {"backend": "file", "dir": "packages"}, ""),
        ({"pypi.storage": "pypicloud.storage.FileStorage", "storage.dir": "p"}, {"backend": "file", "dir": "p"}, ""),
        (S3, {"backend": "s3", "prepend_hash": True}, "storage.redirect_urls: files are streamed here"),
        (
            S3 | {"storage.prepend_hash": "no", "storage.redirect_urls": "yes"},
            {"prepend_hash": False, "redirect_urls": True},
            "",
        ),
        (S3 | {"pypi.stream_files": "true", "storage.redirect_urls": "true"}, {"redirect_urls": False}, ""),
        (
            S3 | {"storage.access_key": "A", "storage.secret_key": SECRET},
            {"aws_access_key_id": "A", "aws_secret_access_key": SECRET},
            "",
        ),
        (
            S3 | {"storage.region": "eu-west-1", "storage.expire_after": "60"},
            {"region_name": "eu-west-1", "expire_after": 60},
            "storage.expire_after: with access",
        ),
        (S3 | {"storage.server_side_encryption": "true"}, {"server_side_encryption": "AES256"}, ""),
        (
            S3 | {"storage.endpoint_url": f"https://u:{SECRET}@s3.example.com"},
            None,
            "storage: is left out as a whole, and is to be set up anew: storage.endpoint_url must be an address",
        ),
        (S3 | {"storage.prefix": "p"}, {"prefix": "p"}, "storage.prefix: is a folder here"),
        (
            S3 | {"storage.redirect_urls": "1", "storage.public_url": "true"},
            {"redirect_urls": True, "public_url": None},
            "storage.public_url: is left out: storage.public_url can't be true with access",
        ),
        (S3 | {"storage.aws_secret_access_key": SECRET}, None, "storage: is left out as a whole"),
        ({"pypi.storage": "s3"}, None, "storage: is left out as a whole, and is to be set up anew: storage.bucket"),
        ({"pypi.storage": "gcs", "storage.bucket": "b"}, None, "pypi.storage: has no counterpart"),
        (
            CLOUDFRONT,
            {"backend": "cloudfront", "redirect_urls": None},
            "storage.redirect_urls: is left out: storage.cloud_front_key_id is needed",
        ),
        (
            CLOUDFRONT | {"storage.cloud_front_key_id": "K", "storage.cloud_front_key_string": SECRET},
            {"cloud_front_key_id": "K", "cloud_front_key_string": SECRET, "redirect_urls": True},
            "",
        ),
        (
            CLOUDFRONT | {"storage.cloud_front_key_id": "K", "storage.cloud_front_key_file": "/absent.pem"},
            None,
            "storage: is left out as a whole, and is to be set up anew: storage.cloud_front_key_file can't be read",
        ),
    ],
)
def test_the_storage(values: dict[str, str], expected: dict[str, Any] | None, remark: str) -> None:
    document, remarks = converted({**USER, **values})
    assert told(remarks, remark)
    if expected is None:
        assert "storage" not in document
    else:
        assert {key: document["storage"].get(key) for key in expected} == expected
    assert ("index" in document) is (document.get("storage", {}).get("backend") == "file")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"mode": "redirect"}),
        ({"pypi.fallback": "none", "pypi.always_show_upstream": "true"}, {"mode": "none"}),
        ({"pypi.use_fallback": "false"}, {"mode": "none"}),
        ({"pypi.fallback": "mirror"}, {"mode": "cache", "always_show_upstream": True}),
        ({"pypi.fallback": "mirror", "pypi.always_show_upstream": "no"}, {"mode": "cache"}),
        (
            {"pypi.fallback_base_url": "https://pypi.example.com/", "pypi.fallback_url": "https://old/simple"},
            {"mode": "redirect", "base_url": "https://pypi.example.com/simple/"},
        ),
        ({"pypi.fallback_base_url": "https://x/simple/"}, {"mode": "redirect", "base_url": "https://x/simple/"}),
        ({"pypi.fallback_url": "https://x/root"}, {"mode": "redirect", "base_url": "https://x/root/"}),
        (
            {"pypi.disallow_fallback": "My_Pkg a my-pkg acme-* b!"},
            {"mode": "redirect", "disallow": ["my-pkg", "a"]},
        ),
        ({"pypi.fallback_base_url": f"https://u:{SECRET}@x"}, None),
    ],
)
def test_the_other_index(values: dict[str, str], expected: dict[str, Any] | None) -> None:
    document, remarks = converted({**USER, **values})
    assert document.get("fallback") == expected
    if expected is None:
        assert told(remarks, "fallback: is left out as a whole")
    redirects = "pypi.fallback" not in values and "pypi.use_fallback" not in values
    assert told(remarks, "pypi.fallback: pypicloud redirects everybody") is redirects
    for name in ("acme-*", "b!", "My_Pkg"):
        assert told(remarks, f"pypi.disallow_fallback: {name!r}") is (name in values.get("pypi.disallow_fallback", ""))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"pypi.auth": "sql", "auth.db.url": f"postgresql://u:{SECRET}@h/d", "pypi.default_read": "everyone"},
            {"sql": {"url": f"postgresql://u:{SECRET}@h/d"}},
        ),
        (
            {"pypi.auth": "pypicloud.access.ldap_.LDAPAccessBackend", "auth.ldap.url": "ldap://h"}
            | {"auth.ldap.user_dn_format": "cn={username}", "auth.ldap.service_dn": "cn=s"}
            | {
                "auth.ldap.service_password": SECRET,
                "auth.ldap.admin_field": "role",
                "auth.ldap.admin_value": "a b\n  c",
            },
            {
                "ldap": {
                    "url": "ldap://h",
                    "service_dn": "cn=s",
                    "service_password": SECRET,
                    "user_dn_format": "cn={username}",
                    "admin_field": "role",
                    "admin_value": ["a b", "c"],
                    "group_field": "",
                }
            },
        ),
        (
            {"pypi.auth": "remote", "auth.backend_server": "https://users", "auth.user": "me", "auth.password": SECRET}
            | {"auth.uri.verify": "/v"},
            {
                "remote": {
                    "url": "https://users",
                    "protocol": "pypicloud",
                    "user": "me",
                    "password": SECRET,
                    "verify_path": "/v",
                }
            },
        ),
        (
            {"pypi.auth": "aws_secrets_manager", "auth.secret_id": "s", "auth.region_name": "eu-west-1"}
            | {"auth.aws_access_key_id": "A", "auth.aws_secret_access_key": SECRET},
            {
                "secrets_manager": {
                    "secret_id": "s",
                    "region_name": "eu-west-1",
                    "aws_access_key_id": "A",
                    "aws_secret_access_key": SECRET,
                }
            },
        ),
    ],
)
def test_directories(values: dict[str, str], expected: dict[str, Any]) -> None:
    more = {**USER, "auth.admins": "alice", "group.g": "alice", "package.a.group.g": "r"}
    document, remarks = converted({**more, **values})
    access = document["access"]
    assert {key: access[key] for key in expected} == expected
    assert (access["admins"], access["groups"], access["rules"], access.get("users")) == ([], {}, [], None)
    closed = "ldap" not in expected
    assert access["default_read"] == ([] if closed else ["authenticated"])
    assert told(remarks, "pypi.auth: ") is closed
    assert told(remarks, "ignored: user.alice")


def test_ldap_may_have_rights_from_the_file() -> None:
    values = {"pypi.auth": "ldap", "auth.ldap.url": "ldaps://h", "auth.ldap.user_dn_format": "cn={username}"}
    more = {**USER, "group.g": "alice", "package.a.group.g": "r", "auth.ldap.fallback": "config"}
    access = converted({**values, **more})[0]["access"]
    assert access["groups"] == {"g": ["alice"]}
    assert access["rules"] == [{"projects": ["a"], "read": ["group:g"], "only": True}]
    assert "users" not in access


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"pypi.db": "sql"}, "nobody could log in: it has no users"),
        ({"pypi.auth": "acme.Backend"}, "pypi.auth: names no backend that is known"),
        ({"pypi.auth": "sql"}, "auth.db.url: is not set, and nobody could log in without it"),
        ({"pypi.auth": "sql", "auth.db.url": f"mysql://u:{SECRET}@h/d"}, "access.sql url: must be an address like"),
        ({"pypi.auth": "ldap", "auth.ldap.url": "ldap://h"}, "access.ldap needs either user_dn_format"),
        ({"pypi.auth": "remote"}, "auth.backend_server: is not set"),
        (
            {"pypi.auth": "remote", "auth.backend_server": f"https://u:{SECRET}@h"},
            "access.remote url: must be",
        ),
        ({**USER, "pypi.fallback": SECRET}, "pypi.fallback: must be one of redirect, cache, none, mirror"),
    ],
)
def test_who_could_not_log_in_is_no_configuration(values: dict[str, str], why: str) -> None:
    with pytest.raises(SourceError) as refused:
        converted(values)
    assert str(refused.value).startswith(why)
    assert SECRET not in str(refused.value)


def test_everyone_may_read_without_users() -> None:
    document, _ = converted({"pypi.default_read": "everyone"})
    assert document["access"]["default_read"] == ["everyone"]


def test_what_has_no_counterpart_is_told() -> None:
    values = {"pypi.db": "redis", "db.url": f"redis://:{SECRET}@h", "session.encrypt_key": SECRET}
    values |= {"use": "egg:pypicloud", "pypi.allow_overwrite": "true", "auth.rounds": "1", "pypi.realm": 'my "realm"'}
    values |= {SECRET: "=", SECRET.upper(): "="}
    document, remarks = converted(USER | values | {f"unknown.{number}": "x" for number in range(12)})
    assert document.keys() == {"access", "storage", "index", "fallback"}
    assert told(remarks, "ignored: pypi.db, db.url: there is no cache")
    assert told(remarks, "ignored: session.encrypt_key: there are no sessions")
    assert told(remarks, "ignored: pypi.allow_overwrite: ")
    assert told(remarks, "ignored: auth.rounds: ")
    assert told(remarks, "access.realm: is left out")
    assert not any("hunter2" in remark for remark in remarks)
    assert any("unknown.7 and 4 more: belongs to the framework" in remark for remark in remarks)


KEYS = [
    *("pypi.storage", "pypi.auth", "pypi.fallback", "pypi.fallback_base_url", "pypi.realm", "pypi.disallow_fallback"),
    *("storage.bucket", "storage.prefix", "storage.redirect_urls", "storage.public_url", "storage.expire_after"),
    *("storage.cloud_front_domain", "storage.cloud_front_key_id", "storage.aws_secret_access_key", "storage.verify"),
    *("storage.proxies", "storage.client_cert", "storage.max_attempts", "storage.addressing_style", "storage.dir"),
    *("auth.db.url", "auth.ldap.url", "auth.ldap.base_dn", "auth.ldap.user_search_filter", "auth.backend_server"),
    *("auth.secret_id", "user.alice", "user.b", "group.g", "package.a.user.b", "auth.admins", "pypi.default_read"),
]
VALUES = ["", "s3", "cloudfront", "file", "sql", "ldap", "remote", "cache", "none", "true", "false", "everyone", "a"]
VALUES += ["7", "99999999999", "-1", "https://h", "ldaps://h", "sqlite:////x", "(uid={username})", "a: b", "é", "/x/.y"]


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*VALUES, HASH]), max_size=12))
def test_whatever_is_made_is_loaded(values: dict[str, str]) -> None:
    with suppress(SourceError):
        converted({**values, "pypi.db": "sql"})
