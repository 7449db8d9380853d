"""The settings of logging in with a browser."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gateway.config.access.oidc import IssuerSettings, OidcIssuer, Text
from gateway.config.section import Section
from gateway.config.types import Refused, Words

_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, 3.3


def _scopes(scopes: list[str]) -> list[str]:
    if "openid" not in scopes or not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise Refused("must be scopes, like openid and email; openid is one of them")
    return scopes


Scopes = Annotated[list[str], Words.__metadata__[0], AfterValidator(_scopes)]


class LoginIssuer(IssuerSettings):
    """An issuer at which people log in (OpenID Connect, code flow with PKCE). Its claims are read from the ID token."""

    client_id: Text = Field(description="The gateway's id at the issuer; the ID tokens have it as audience")
    client_secret: SecretStr | None = Field(
        None, description="The gateway's secret at the issuer, or file:/path of it; unset: it is a public client"
    )
    scopes: Scopes = Field(
        ["openid", "profile", "email"], description="What is asked for; it decides which claims there are"
    )

    @property
    def id_tokens(self) -> OidcIssuer:
        """What the ID tokens must say."""
        shared = {name: getattr(self, name) for name in IssuerSettings.model_fields}
        return OidcIssuer(**shared, audience=self.client_id)


class LoginSettings(Section):
    """People log in with a browser: at the issuer if one is given, else with a user and a password."""

    cookie_keys: list[SecretStr] = Field(
        min_length=1,
        description="Text of 32 bytes or more, or file:/path of such; the first signs the cookies, all verify",
    )
    session_seconds: int = Field(28800, ge=60, le=30 * 86400, description="Seconds after which people log in again")
    oidc: LoginIssuer | None = Field(
        None, description="The issuer at which people log in: {issuer: https://…, client_id: …, client_secret: …}"
    )
