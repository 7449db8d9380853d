"""The settings of an LDAP directory that knows the users."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.config.section import Section
from gateway.config.types import ReadableFile, Refused, Seconds, Words

_FIELD = r"^([A-Za-z][A-Za-z0-9.-]*)?$"


def _ldap_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("ldap", "ldaps") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not re.fullmatch(r"ldaps?://[^/?#@\s]+/?", text):
        raise Refused("must be an address like ldaps://host or ldap://host:port")
    return text


def _with_username(text: str) -> str:
    if text and "{username}" not in text:
        raise Refused("must contain {username}")
    return text


LdapUrl = Annotated[str, AfterValidator(_ldap_url)]
Template = Annotated[str, AfterValidator(_with_username)]


class LdapSettings(Section):
    """An LDAP directory that knows the users; needs the extra s3-package-gateway[ldap]."""

    url: LdapUrl = Field(description="ldaps://host, or ldap://host with StartTLS; a port may follow")
    tls: Literal["verify", "off"] = Field(
        "verify",
        description="verify: TLS always, and the certificate is checked; off: ldap:// sends passwords in clear",
    )
    ca_file: ReadableFile | None = Field(
        None, description="PEM file of the certificates that the directory's must come from; unset: the system's"
    )
    service_dn: str = Field("", description="Name that the gateway itself binds as; empty: it searches anonymously")
    service_password: SecretStr = Field(SecretStr(""), description="Password of service_dn")
    user_dn_format: Template = Field("", description="A user's name in the directory, like uid={username},ou=users,o=x")
    base_dn: str = Field("", description="Where users are searched, if user_dn_format is not set")
    user_search_filter: Template = Field("", description="The filter for them, like (uid={username})")
    name_field: str = Field(
        "",
        description="Attribute that has the user's name in rules; empty: the one that is compared with {username}",
        pattern=_FIELD,
    )
    admin_field: str = Field("", description="Attribute of a user that tells admins", pattern=_FIELD)
    admin_value: Words = Field([], description="Its values that do")
    admin_group_dn: str = Field("", description="Group whose members are admins")
    group_field: str = Field(
        "memberOf", description="Attribute of a user that names the groups; empty: they are not read", pattern=_FIELD
    )
    group_base_dn: str = Field(
        "", description="Where groups are searched; groups elsewhere, in group_field too, don't count"
    )
    group_search_filter: str = Field(
        "", description="The filter for a user's groups, like (member={dn}) or (memberUid={username})"
    )
    timeout: Seconds = Field(5.0, le=5, description="Seconds that the directory may take to answer about one password")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.user_dn_format) == bool(self.base_dn and self.user_search_filter):
            raise Refused("needs either user_dn_format, or base_dn and user_search_filter")
        if bool(self.service_dn) != bool(self.service_password.get_secret_value()):
            raise Refused("needs service_dn and service_password, or neither")
        if bool(self.admin_field) != bool(self.admin_value):
            raise Refused("needs admin_field and admin_value, or neither")
        if self.group_search_filter and not self.group_base_dn:
            raise Refused("needs group_base_dn for group_search_filter")
        if self.tls == "off" and self.url.startswith("ldaps:"):
            raise Refused("can't turn TLS off for ldaps://")
        return self
