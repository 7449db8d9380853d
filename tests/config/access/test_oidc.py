"""The settings of issuers."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.access.oidc import OidcIssuer

GOOD = {"issuer": "https://issuer.example", "audience": "gateway"}


def test_the_defaults_are_these() -> None:
    assert OidcIssuer.model_validate(GOOD).model_dump() == {
        "issuer": "https://issuer.example",
        "audience": "gateway",
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "subject_claim": "sub",
        "subject_prefix": "",
        "groups_claim": "groups",
        "groups_prefix": "",
        "required_claims": {},
        "max_age": None,
        "allow_hosts": [],
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://token.actions.githubusercontent.com",
        "https://issuer.example/",
        "https://issuer.example:8443/realms/acme",
        "https://kubernetes.default.svc",
        "https://[2001:db8::1]:8443/x",
        "http://localhost:8080",
        "http://127.0.0.1:5556/dex",
        "http://127.9.9.9",
        "http://[::1]:5556",
    ],
)
def test_issuers_are_taken_as_they_are_written(url: str) -> None:
    assert OidcIssuer.model_validate(GOOD | {"issuer": url, "required_claims": {"sub": "x"}}).issuer == url


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ""},
        {"issuer": "issuer.example"},
        {"issuer": "http://issuer.example"},
        {"issuer": "http://10.0.0.1"},
        {"issuer": "http://localhost.example"},
        {"issuer": "http://127.0.0.1.example"},
        {"issuer": "ftp://issuer.example"},
        {"issuer": "https://user:s3cr3t@issuer.example"},
        {"issuer": "https://issuer.example?s3cr3t"},
        {"issuer": "https://issuer.example/?s3cr3t"},
        {"issuer": "https://issuer.example/#s3cr3t"},
        {"issuer": "https://issuer.example/a b"},
        {"issuer": "https://issuer.example/\n"},
        {"issuer": "https://issuer.example/é"},
        {"issuer": "https://issuer.example:0"},
        {"issuer": "https://issuer.example:70000"},
        {"issuer": "https://[::1"},
        {"issuer": "https://[1:2]"},
        {"issuer": "https://issuer.example/" + "x" * 2048},
        {"issuer": None},
        {"audience": ""},
        {"audience": None},
        {"audience": ["gateway"]},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": ["RS256", "rs256"]},
        {"subject_claim": ""},
        {"groups_claim": ""},
        {"required_claims": {"ref": ""}},
        {"required_claims": {"ref": None}},
        {"required_claims": {"ref": ["a"]}},
        {"required_claims": {"ref": 1.5}},
        {"max_age": 0},
        {"allow_hosts": ["https://x"]},
        {"unknown": 1},
    ],
)
def test_mistakes_are_refused_without_being_quoted(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        OidcIssuer.model_validate(GOOD | change)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("missing", GOOD)
def test_an_issuer_and_an_audience_are_needed(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        OidcIssuer.model_validate({name: value for name, value in GOOD.items() if name != missing})


def test_what_yaml_makes_of_values_is_their_text() -> None:
    required = {"email_verified": True, "project_id": 7, "ref": "refs/heads/*"}
    settings = OidcIssuer.model_validate(GOOD | {"required_claims": required})
    assert settings.required_claims == {"email_verified": "true", "project_id": "7", "ref": "refs/heads/*"}


def test_each_setting_has_its_help() -> None:
    assert [name for name, field in OidcIssuer.model_fields.items() if not field.description] == []
