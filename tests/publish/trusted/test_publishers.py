"""Whose token it is, by its claims: GitHub's, GitLab's, and those of other issuers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.config.publish.trusted_publishers import AnyPublisher, TrustedPublisher
from gateway.publish.trusted.publishers import Grant, NoPublisherError, Publishers
from tests.support.jobs import REPOSITORY, SHA, WORKFLOW, github, gitlab

GITHUB, GITLAB, OTHER = "https://token.actions.githubusercontent.com", "https://gitlab.com", "https://ci.example.com"
_OF_GITHUB = {"kind": "github", "repository": "Acme/Web", "workflow": "release.yml", "projects": ["Acme_Web"]}
_OF_GITLAB = {"kind": "gitlab", "repository": "Acme/Tools/Web", "projects": ["tools-*"]}
_OF_OTHER = {"kind": "issuer", "issuer": OTHER, "claims": {"sub": "job:acme/*", "tier": "prod"}, "projects": ["x"]}


def publishers(*given_settings: dict[str, Any]) -> Publishers:
    read: TypeAdapter[TrustedPublisher] = TypeAdapter(AnyPublisher)
    return Publishers([read.validate_python(each) for each in given_settings])


def refusal(known: Publishers, issuer: str, claims: dict[str, Any]) -> str:
    """Empty if the claims are a publisher's."""
    try:
        known.grant(issuer, claims)
    except NoPublisherError as error:
        return str(error)
    return ""


def test_a_workflow_of_github_may_publish_its_projects() -> None:
    grant = publishers(_OF_GITHUB).grant(GITHUB, github())
    assert grant == Grant(
        ("acme-web",),
        f"github:{REPOSITORY}/{WORKFLOW}@refs/tags/v1.0",
        '{"kind":"GitHub","repository":"acme/web","sha":"' + SHA + '","workflow":"release.yml","run":"4242",'
        '"ref":"refs/tags/v1.0","environment":"release"}',
    )


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ({}, {"repository": "ACME/WEB", "job_workflow_ref": f"ACME/WEB/{WORKFLOW}@refs/tags/v1.0"}),
        ({}, {"environment": None}),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@{SHA}"}),
        ({}, {"ref": "", "job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@{SHA}"}),
        ({}, {"workflow_ref": f"{REPOSITORY}/.github/workflows/calls-it.yml@refs/tags/v1.0"}),
        ({}, {"event_name": "workflow_dispatch", "unknown": {"nested": [{}]}, "actor": 3}),
        ({"environment": "Release"}, {"environment": "RELEASE"}),
        ({"environment": "Prüfung"}, {"environment": "Prüfung"}),
        ({"owner_id": "1234"}, {}),
        ({"owner_id": 1234}, {"repository_owner_id": 1234}),
        ({"ref": "refs/tags/v*"}, {}),
        ({"claims": {"runner_environment": "github-*", "repository_id": 77}}, {}),
    ],
)
def test_a_job_of_github_is_the_publisher_s(more: dict[str, Any], changed: dict[str, Any]) -> None:
    assert refusal(publishers(_OF_GITHUB | more), GITHUB, github(**changed)) == ""


ELSEWHERE = "no publisher is configured for a token that says"
WORKFLOW_DIFFERS = "the job is not one of .github/workflows/release.yml of this repository, at its own ref"
PULL = "pull requests may not publish"


@pytest.mark.parametrize(
    ("more", "changed", "why"),
    [
        ({}, {"repository": "acme/other"}, ELSEWHERE),
        ({}, {"repository": None}, ELSEWHERE),
        ({}, {"repository": ["acme/web"]}, ELSEWHERE),
        ({}, {"repository": "acme/web/"}, ELSEWHERE),
        ({}, {"repository": " acme/web"}, ELSEWHERE),
        ({"repository": "acme/kit"}, {"repository": "acme/\u212ait"}, ELSEWHERE),  # the sign of Kelvin
        ({}, {"event_name": "pull_request"}, PULL),
        ({}, {"event_name": "pull_request_target"}, PULL),
        ({}, {"event_name": "pull_request_review"}, PULL),
        ({}, {"event_name": None}, PULL),
        ({}, {"event_name": ["push"]}, PULL),
        ({}, {"ref": "refs/pull/7/merge", "job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@refs/pull/7/merge"}, PULL),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/.github/workflows/other.yml@refs/tags/v1.0"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/.github/workflows/Release.yml@refs/tags/v1.0"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"evil/shared/{WORKFLOW}@refs/tags/v1.0"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"evil/web/{WORKFLOW}@refs/tags/v1.0"}, WORKFLOW_DIFFERS),  # as long as its own
        ({}, {"job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@refs/heads/old"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@refs/tags/v1.0@"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@", "ref": "", "sha": ""}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/{WORKFLOW}@", "ref": None, "sha": None}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": f"{REPOSITORY}/x/{WORKFLOW}@refs/tags/v1.0"}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": None}, WORKFLOW_DIFFERS),
        ({}, {"job_workflow_ref": [f"{REPOSITORY}/{WORKFLOW}@refs/tags/v1.0"]}, WORKFLOW_DIFFERS),
        ({"environment": "prod"}, {}, "the environment is not prod"),
        ({"environment": "release"}, {"environment": None}, "the environment is not release"),
        ({"environment": "release"}, {"environment": ""}, "the environment is not release"),
        ({"owner_id": "99"}, {}, "the owner of the repository is not the configured one, by its id"),
        ({"owner_id": "1234"}, {"repository_owner_id": None}, "the owner of the repository is not"),
        ({"ref": "refs/heads/*"}, {}, "the ref is not refs/heads/*"),
        ({"ref": "refs/tags/v*"}, {"ref": None}, "the ref is not refs/tags/v*"),
        ({"claims": {"runner_environment": "self-hosted"}}, {}, "the claim runner_environment is absent or differs"),
        ({"claims": {"absent": "x"}}, {}, "the claim absent is absent or differs"),
        ({"claims": {"actor": "zoe"}}, {"actor": ["zoe"]}, "the claim actor is absent or differs"),
    ],
)
def test_a_job_of_github_is_not_the_publisher_s(more: dict[str, Any], changed: dict[str, Any], why: str) -> None:
    assert refusal(publishers(_OF_GITHUB | more), GITHUB, github(**changed)).startswith(why)


def test_who_has_a_token_of_another_repository_reads_what_it_says_and_nothing_of_the_publishers() -> None:
    why = refusal(publishers(_OF_GITHUB | {"environment": "prod"}), GITHUB, github(repository="zoe/fork"))
    assert why.startswith(f"{ELSEWHERE} repository='zoe/fork', ")
    assert "environment='release'" in why
    assert "prod" not in why
    assert "release.yml@" in why


def test_a_job_of_gitlab_may_publish_its_projects() -> None:
    assert publishers(_OF_GITLAB).grant(GITLAB, gitlab()) == Grant(
        ("tools-*",),
        "gitlab:acme/tools/web//.gitlab-ci.yml@refs/tags/v1.0",
        '{"kind":"GitLab","repository":"acme/tools/web","sha":"' + SHA + '","workflow":".gitlab-ci.yml","run":"99",'
        '"ref":"refs/tags/v1.0"}',
    )


MERGE, PIPELINE = "merge requests may not publish", "the pipeline is not"
CHILD = "child pipelines may publish from protected branches and tags only"
BRANCH = {
    "ref_path": "refs/heads/main",
    "ci_config_ref_uri": "gitlab.com/acme/tools/web//.gitlab-ci.yml@refs/heads/main",
    "ref_protected": "false",
}


@pytest.mark.parametrize(
    ("more", "changed", "why"),
    [
        ({}, {"project_path": "ACME/tools/web"}, ""),
        ({}, {"ci_config_ref_uri": f"gitlab.com/acme/tools/web//.gitlab-ci.yml@{SHA}"}, ""),
        ({"owner_id": 72, "ref": "refs/tags/*", "claims": {"ref_protected": True}}, {}, ""),
        ({"pipeline": "ci/x.yml"}, {"ci_config_ref_uri": "gitlab.com/acme/tools/web//ci/x.yml@refs/tags/v1.0"}, ""),
        ({"environment": "prod"}, {"environment": "prod"}, ""),
        ({"environment": "prod"}, {"environment": "Prod"}, "the environment is not prod"),
        ({"environment": "prod"}, {}, "the environment is not prod"),
        ({"owner_id": "73"}, {}, "the namespace of the project is not the configured one"),
        ({"ref": "refs/heads/main"}, {}, "the ref is not refs/heads/main"),
        ({}, {"project_path": "acme/tools/web2"}, ELSEWHERE),
        ({}, {"pipeline_source": "merge_request_event"}, MERGE),
        ({}, {"pipeline_source": "external_pull_request_event"}, MERGE),
        ({}, {"pipeline_source": None}, MERGE),
        ({}, {"ref_path": "refs/merge-requests/1/head"}, MERGE),
        # One that a merge request has started, whose branch is called like one of the project, maybe in a fork.
        ({"ref": "refs/heads/main"}, BRANCH | {"pipeline_source": "parent_pipeline"}, CHILD),
        ({}, BRANCH | {"pipeline_source": "parent_pipeline", "ref_protected": None}, CHILD),
        ({}, BRANCH | {"pipeline_source": "parent_pipeline", "ref_protected": "true"}, ""),
        ({}, BRANCH | {"pipeline_source": "pipeline"}, ""),
        ({}, BRANCH, ""),
        ({}, {"pipeline_source": "parent_pipeline", "ref_protected": "false"}, ""),  # of a tag
        ({}, {"ci_config_ref_uri": None}, PIPELINE),
        ({}, {"ci_config_ref_uri": "gitlab.com/acme/tools/web//.gitlab-ci.yml@", "ref_path": "", "sha": ""}, PIPELINE),
        ({}, {"ci_config_ref_uri": "gitlab.com/acme/tools/web//other.yml@refs/tags/v1.0"}, PIPELINE),
        ({}, {"ci_config_ref_uri": "gitlab.com/acme/ci//.gitlab-ci.yml@refs/tags/v1.0"}, PIPELINE),
        ({}, {"ci_config_ref_uri": "gitlab.evil/acme/tools/web//.gitlab-ci.yml@refs/tags/v1.0"}, PIPELINE),
        ({}, {"ci_config_ref_uri": "gitlab.com/evil/tools/web//.gitlab-ci.yml@refs/tags/v1.0"}, PIPELINE),
        ({}, {"ci_config_ref_uri": "gitlab.com/acme/tools/web//.gitlab-ci.yml@refs/heads/main"}, PIPELINE),
    ],
)  # fmt: skip
def test_whether_a_job_of_gitlab_is_the_publisher_s(more: dict[str, Any], changed: dict[str, Any], why: str) -> None:
    found = refusal(publishers(_OF_GITLAB | more), GITLAB, gitlab(**changed))
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_a_gitlab_of_one_s_own_is_known_by_its_url() -> None:
    url = "https://git.acme.example:8443/gitlab"
    own = publishers(_OF_GITLAB | {"issuer": url})
    assert f'"issuer":"{url}"' in own.grant(url, gitlab("git.acme.example:8443/gitlab")).source
    assert refusal(own, url, gitlab()).startswith(PIPELINE)


@pytest.mark.parametrize(
    ("issuer", "who"),
    [
        (GITHUB + "/acme", "github"),  # an enterprise's own, of the same service
        ("https://ghes.example/_services/token", "github@ghes.example"),
        ("https://GHES.example:8443/_services/token", "github@ghes.example:8443"),
    ],
)
def test_a_repository_elsewhere_is_not_called_like_the_public_one(issuer: str, who: str) -> None:
    grant = publishers(_OF_GITHUB | {"issuer": issuer}).grant(issuer, github())
    assert grant.subject == f"{who}:{REPOSITORY}/{WORKFLOW}@refs/tags/v1.0"
    own = publishers(_OF_GITLAB | {"issuer": "https://git.example"}).grant("https://git.example", gitlab("git.example"))
    assert own.subject == "gitlab@git.example:acme/tools/web//.gitlab-ci.yml@refs/tags/v1.0"


@pytest.mark.parametrize("said", [github, gitlab])
def test_a_repository_is_told_with_its_issuer_however_long_all_else_is(said: Any) -> None:
    """A repository of that name is another one at GitHub or GitLab themselves."""
    issuer = f"https://{'git.' * 30}example.com"
    long = "x" * 150
    if said is github:
        ref = f"refs/heads/{long}"
        repository = f"acme/{'w' * 100}"
        claims = github(repository=repository, ref=ref, environment=long)
        claims["job_workflow_ref"] = f"{repository}/{WORKFLOW}@{ref}"
        known = publishers(_OF_GITHUB | {"issuer": issuer, "repository": repository})
    else:
        repository = f"acme/{'w' * 140}"
        claims = gitlab(project_path=repository, ref_path=long, environment=long)
        claims["ci_config_ref_uri"] = f"{issuer.partition('://')[2]}/{repository}//.gitlab-ci.yml@{long}"
        known = publishers(_OF_GITLAB | {"issuer": issuer, "repository": repository})
    assert f'"issuer":"{issuer}"' in known.grant(issuer, claims).source


def test_another_issuer_s_token_needs_all_claims() -> None:
    known, claims = publishers(_OF_OTHER), {"sub": "job:acme/7", "tier": "prod"}
    assert known.grant(OTHER, claims) == Grant(
        ("x",),
        "ci.example.com:job:acme/7",
        '{"kind":"Issuer","issuer":"https://ci.example.com","subject":"job:acme/7"}',
    )
    for name in claims:
        for value in ("", "other", None, ["prod"], {"prod": 1}, True):
            assert refusal(known, OTHER, claims | {name: value}) == f"the claim {name} is absent or differs"


def test_an_issuer_speaks_only_for_its_own_publishers() -> None:
    known = publishers(_OF_GITHUB, _OF_GITLAB, _OF_OTHER)
    everything = github() | gitlab() | {"tier": "prod"}
    assert refusal(known, GITHUB, github()) == refusal(known, GITLAB, gitlab()) == ""
    assert refusal(known, OTHER, everything).startswith("the claim sub")
    assert refusal(known, GITLAB, github()).startswith(ELSEWHERE)
    assert refusal(known, GITHUB, gitlab()).startswith(ELSEWHERE)
    assert refusal(known, "https://attacker.example", everything) == f"{ELSEWHERE} nothing of its job"


def test_of_many_reasons_some_are_told() -> None:
    known = publishers(*(_OF_GITHUB | {"environment": f"e{number}"} for number in range(5)))
    why = "; ".join(f"the environment is not e{number}" for number in range(3)) + "; and 2 more"
    assert refusal(known, GITHUB, github()) == why


def test_a_job_may_publish_what_each_of_its_publishers_may() -> None:
    known = publishers(
        _OF_GITHUB,
        _OF_GITHUB | {"projects": ["b", "acme-web"]},
        _OF_GITHUB | {"projects": ["c"], "environment": "prod"},
    )
    assert known.grant(GITHUB, github()).projects == ("acme-web", "b")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.sampled_from([*github()]), anything)
def test_claims_of_odd_types_are_no_bug(name: str, value: Any) -> None:
    known = publishers(_OF_GITHUB | {"claims": {name: "x"}}, _OF_OTHER | {"issuer": "https://ci.example.com"})
    assert refusal(known, GITHUB, github() | {name: value}) or value == "x"
