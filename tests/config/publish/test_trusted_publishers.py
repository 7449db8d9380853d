"""Mistakes in the settings of trusted publishers, and what is said of them."""

import json
from typing import Any

import pytest

from gateway.config.load import load_text
from gateway.config.publish.trusted_publishers import GITHUB, GITLAB
from gateway.config.settings import Settings
from gateway.errors import ConfigError

_GITHUB = {"kind": "github", "repository": "acme/web", "workflow": "release.yml", "projects": ["Acme_Web", "b-*"]}
_GITLAB = {"kind": "gitlab", "repository": "acme/tools/web", "projects": ["x"]}
_OTHER = {"kind": "issuer", "issuer": "https://ci.example.com", "claims": {"sub": "job:*"}, "projects": ["x"]}
_REST: dict[str, Any] = {
    "publish_enabled": True,
    "publish_audience": "acme-packages",
    "access_default_read": ["everyone"],
    "access_tokens": {"keys": ["k" * 40]},
}


def settings(*publishers: Any, **changed: Any) -> Settings:
    """Those that are None in `changed` are left out; their names have `_` in place of the dot."""
    sections: dict[str, dict[str, Any]] = {"publish": {"trusted": list(publishers)}, "access": {}}
    for name, value in (_REST | changed).items():
        section, _, key = name.partition("_")
        if value is not None:
            sections[section][key] = value
    if not sections["access"]:
        del sections["access"]
    return load_text(json.dumps(sections), "x.yaml")


def mistakes(*publishers: Any, **changed: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(*publishers, **changed)
    return str(caught.value)


def test_what_is_left_out_is_as_the_public_services_have_it() -> None:
    github, gitlab, other = settings(_GITHUB, _GITLAB, _OTHER).publish.trusted
    assert (github.issuer, gitlab.issuer, other.issuer) == (GITHUB, GITLAB, "https://ci.example.com")
    assert [pattern.text for pattern in github.projects] == ["acme-web", "b-*"]
    assert getattr(gitlab, "pipeline", "") == ".gitlab-ci.yml"
    assert getattr(settings(_GITHUB | {"owner_id": 12}).publish.trusted[0], "owner_id", "") == "12"


@pytest.mark.parametrize(
    ("publisher", "said"),
    [
        ({}, "number 1: needs a kind, which is github, gitlab or issuer"),
        ("github", "number 1: needs a kind"),
        ({"kind": "bitbucket"}, "number 1: needs a kind"),
        (_GITHUB | {"repository": "acme"}, "number 1: github: repository: must be OWNER/NAME"),
        (_GITHUB | {"repository": "acme/*"}, "without wildcards"),
        (_GITHUB | {"repository": "https://github.com/acme/web"}, "without https://"),
        (_GITHUB | {"workflow": ".github/workflows/release.yml"}, "must be the name of a file in .github/workflows"),
        (_GITHUB | {"workflow": "release.yml@main"}, "must be the name of a file"),
        (_GITHUB | {"workflow": "*.yml\n"}, "must be the name of a file"),
        (_GITHUB | {"environment": ""}, "github: environment"),
        (
            _GITHUB | {"environment": None},
            "github: environment: is empty: give it, or leave the line out, which permits",
        ),
        (_GITHUB | {"owner_id": None}, "github: owner_id: is empty"),
        (_GITLAB | {"ref": None}, "gitlab: ref: is empty"),
        (_GITHUB | {"ref": "main"}, "ref: must be a full name, like refs/heads/main"),
        (_GITHUB | {"ref": "*"}, "ref: would be true of every token"),
        (_GITHUB | {"ref": "refs/*/?*"}, "ref: would be true of every token"),
        (_GITHUB | {"owner_id": "acme"}, "owner_id: must be a number"),
        (_GITHUB | {"owner_id": True}, "owner_id: must be a number"),
        (_GITHUB | {"issuer": "http://ghes.example"}, "issuer: must be an address like https://"),
        (_GITHUB | {"projects": []}, "projects: must name projects"),
        (_GITHUB | {"projects": ["a b"]}, "projects: number 1: must be a project's name"),
        (_GITHUB | {"projects": ["x" * 30] * 14}, "has over 400 characters: use patterns like acme-*"),
        (_GITHUB | {"claims": {"actor": ""}}, "claims: actor: must be the claim's value"),
        (_GITHUB | {"claims": {"actor": ["zoe"]}}, "claims: actor: must be the claim's value"),
        (_GITHUB | {"brunch": "main"}, "github: brunch: Extra inputs are not permitted"),
        (_GITLAB | {"repository": "acme"}, "gitlab: repository: must be the path of a project"),
        (_GITLAB | {"pipeline": "/ci.yml"}, "pipeline: must be the path of a file"),
        (_OTHER | {"claims": {}}, "issuer: claims: Dictionary should have at least 1 item"),
        (_OTHER | {"claims": {"sub": "*?*"}}, "claims: sub: would be true of every token"),
        (_OTHER | {"claims": {"iss": "https://ci.*"}}, "claims: iss: …: is in every token: it tells no job"),
        (_OTHER | {"claims": {"sub": "x", "aud": "acme-packages"}}, "claims: aud: …: is in every token"),
        (_OTHER | {"issuer": GITHUB}, "is of kind github: everybody can get tokens of this issuer"),
        (_OTHER | {"issuer": GITHUB + "/acme"}, "is of kind github"),
        (_OTHER | {"issuer": GITLAB}, "is of kind gitlab"),
    ],
)
def test_a_mistake_is_told_with_its_place(publisher: Any, said: str) -> None:
    told = mistakes(publisher)
    assert told.startswith("publish.trusted (x.yaml:1): number 1: ")
    assert said in told


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"publish_audience": None}, "publish.audience (not set): is needed with publish.trusted"),
        ({"publish_audience": "pypi"}, "publish.audience (x.yaml:1): is the audience of another index"),
        ({"publish_audience": "https://acme.example"}, "publish.audience (x.yaml:1): must be a word"),
        ({"access_tokens": None}, "publish.trusted (x.yaml:1): needs a key for the tokens that jobs get: openssl"),
        ({"publish_enabled": None}, "publish.enabled (not set): is needed with publish.trusted"),
        (
            {"access_tokens": None, "access_default_read": None, "publish_allow_anonymous": True},
            "publish.trusted (x.yaml:1): needs a key",
        ),
    ],
)
def test_what_else_is_needed_is_told(changed: dict[str, Any], said: str) -> None:
    assert said in mistakes(_GITHUB, **changed)


def test_users_that_an_enterprise_manages_have_an_underscore() -> None:
    assert getattr(settings(_GITHUB | {"repository": "zoe_acme/web"}).publish.trusted[0], "repository", "")


def test_a_repository_may_have_many_publishers() -> None:
    many = [_GITHUB | {"workflow": f"{number}.yml", "projects": [f"acme-package-{number}"]} for number in range(100)]
    assert len(settings(*many).publish.trusted) == 100
