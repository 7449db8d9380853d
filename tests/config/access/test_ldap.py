"""The settings of an LDAP directory."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.access.ldap import LdapSettings

GOOD = {"url": "ldaps://directory", "user_dn_format": "uid={username},o=x"}


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "https://directory"},
        {"url": "ldap:///o=x"},
        {"url": "ldap://user:hunter2@directory"},
        {"url": "ldap://directory:99999"},
        {"url": "ldap://directory/o=x?hunter2"},
        {"url": "ldap://directory\nhunter2"},
        {"tls": "off"},
        {"user_dn_format": ""},
        {"user_dn_format": "uid=hunter2"},
        {"base_dn": "o=x", "user_search_filter": "(uid={username})"},
        {"user_dn_format": "", "base_dn": "o=x"},
        {"user_dn_format": "", "user_search_filter": "(uid={username})"},
        {"service_dn": "cn=gateway"},
        {"service_password": "hunter2"},
        {"service_dn": "cn=gateway", "service_password": ""},
        {"admin_field": "roles"},
        {"admin_value": ["hunter2"]},
        {"group_search_filter": "(member={dn})"},
        {"group_field": "*"},
        {"timeout": 5.5},
        {"ca_file": "/nowhere/hunter2"},
    ],
    ids=str,
)
def test_settings_that_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        LdapSettings.model_validate(GOOD | bad)
    assert "hunter2" not in str(caught.value)


def test_the_password_does_not_show() -> None:
    settings = LdapSettings.model_validate(GOOD | {"service_dn": "cn=gateway", "service_password": "hunter2"})
    assert "hunter2" not in repr(settings) + str(settings)


def test_passwords_are_not_sent_in_clear_unless_told() -> None:
    assert LdapSettings.model_validate(GOOD | {"url": "ldap://directory:389"}).tls == "verify"
