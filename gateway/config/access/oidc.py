"""The settings of issuers whose tokens authenticate (OpenID Connect): CI jobs, workloads, people's single sign-on."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.access.secure_url import is_secure_url
from gateway.config.section import Section
from gateway.config.types import Hosts, Refused, Seconds

# Asymmetric ones only: with HS256, whoever can verify a token can forge one.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


def claim_text(value: object) -> str | None:
    """A claim's value as patterns are compared with it: a text, or what JSON writes for a number or a truth value."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    return None


def _issuer(text: str) -> str:
    if not is_secure_url(text) or "?" in text:
        raise Refused("must be an address like https://issuer.example.com; http only on loopback")
    return text


def _pattern(value: Any) -> Any:
    text = claim_text(value)  # YAML makes a truth value of `true`
    if not text:
        raise Refused("must be the claim's value, with * and ? for what may differ")
    return text


IssuerUrl = Annotated[str, AfterValidator(_issuer)]
Text = Annotated[str, Field(min_length=1)]
ClaimPattern = Annotated[str, BeforeValidator(_pattern)]


# Issuers whose tokens anybody can have, for any audience.
_ANYBODY_MAY_HAVE_ONE = frozenset(
    {
        "token.actions.githubusercontent.com",
        "gitlab.com",
        "accounts.google.com",
        "oidc.circleci.com",
        "agent.buildkite.com",
        "api.bitbucket.org",
        "app.terraform.io",
    }
)


class IssuerSettings(Section):
    """An issuer, how its tokens are signed, and what they say of whom."""

    issuer: IssuerUrl = Field(description="URL of the issuer, exactly as its tokens have it in the claim iss")
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = Field(
        ["RS256", "ES256", "EdDSA"], description="Algorithms by which tokens may be signed"
    )
    subject_claim: Text = Field("sub", description="Claim that is the user's name")
    subject_prefix: str = Field(
        "", description="Put before the name, like ci:, so that no token passes for a user of another origin"
    )
    groups_claim: Text = Field("groups", description="Claim that lists the user's groups, or is the name of one")
    groups_prefix: str = Field("", description="Put before the name of each group")
    required_claims: dict[str, ClaimPattern] = Field(
        {}, description="Claims that a token must have, each with its value; * and ? stand for what may differ"
    )
    allow_hosts: Hosts = Field(
        [], description="Other hosts with internal addresses that may have the issuer's keys, as host or host:port"
    )

    @model_validator(mode="after")
    def _not_of_everybody(self) -> "IssuerSettings":
        host = urlsplit(self.issuer).hostname or ""
        if not self.required_claims and host in _ANYBODY_MAY_HAVE_ONE:
            raise Refused(
                "needs required_claims, such as repository_owner_id or hd: everybody can get tokens of this issuer"
            )
        return self


class OidcIssuer(IssuerSettings):
    """An issuer, and what its tokens must say. An issuer may be given several times, with other claims required."""

    audience: Text = Field(description="Audience of the tokens: they must have this one and no other in the claim aud")
    max_age: Seconds | None = Field(
        None, description="Seconds after which a token is refused, however long the issuer lets it live"
    )
