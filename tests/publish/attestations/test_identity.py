"""Whose attestations have to be."""

import json

import pytest

from gateway.errors import BadRequestError
from gateway.publish.attestations.identity import Identity, identity_of
from gateway.publish.trusted.sources import source

GITHUB = {"kind": "GitHub", "repository": "acme/web", "sha": "5d41", "workflow": "release.yml"}
GITLAB = {"kind": "GitLab", "repository": "acme/tools/web", "workflow": "ci/release.yml"}


def told(said: dict[str, str]) -> Identity:
    return identity_of(source(said.items()))


def test_a_publisher_at_github_or_gitlab_is_known_as_pypi_knows_it() -> None:
    assert told(GITHUB | {"environment": "release"}) == Identity(
        "https://token.actions.githubusercontent.com",
        "https://github.com/acme/web",
        "https://github.com/acme/web/.github/workflows/release.yml",
        {"kind": "GitHub", "repository": "acme/web", "workflow": "release.yml", "environment": "release"},
    )
    assert told(GITLAB) == Identity(
        "https://gitlab.com",
        "https://gitlab.com/acme/tools/web",
        "https://gitlab.com/acme/tools/web//ci/release.yml",
        {
            "kind": "GitLab",
            "repository": "acme/tools/web",
            "workflow_filepath": "ci/release.yml",
            "environment": None,
        },
    )


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://git.example.com/_services/token", "https://git.example.com"),
        ("https://git.example.com:8443/_services/token", "https://git.example.com:8443"),
        ("https://token.actions.githubusercontent.com/acme-corp", "https://github.com"),
        ("https://token.actions.acme.ghe.com", "https://acme.ghe.com"),
        ("https://token.actions.acme.ghe.com.example.com", "https://token.actions.acme.ghe.com.example.com"),
    ],
)
def test_a_github_of_ones_own_is_another_kind(issuer: str, url: str) -> None:
    found = told(GITHUB | {"issuer": issuer})
    assert (found.issuer, found.repository) == (issuer, f"{url}/acme/web")
    assert found.workflow == f"{url}/acme/web/.github/workflows/release.yml"
    assert (found.publisher["kind"], found.publisher["issuer"]) == ("GitHubSelfManaged", issuer)


def test_a_gitlab_of_ones_own_is_another_kind() -> None:
    found = told(GITLAB | {"issuer": "https://git.example.com/lab/"})
    assert found.repository == "https://git.example.com/lab/acme/tools/web"
    assert found.publisher["kind"] == "GitLabSelfManaged"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "from trusted publishers only"),
        (json.dumps({"kind": "Issuer", "issuer": "https://ci.example.com", "subject": "x"}), "github and gitlab only"),
        (source((GITHUB | {"workflow": "é.yml"}).items()), "can't be verified"),
        (source((GITLAB | {"repository": f"acme/{'x' * 200}"}).items()), "can't be verified"),
        (json.dumps({"kind": "GitHub", "repository": "acme/web"}), "can't be verified"),
        (source((GITLAB | {"issuer": f"https://{'x' * 200}"}).items()), "can't be verified"),
    ],
)
def test_others_have_none(said: str, why: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        identity_of(said)
    assert why in refused.value.public
