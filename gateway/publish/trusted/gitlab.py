"""What an ID token of GitLab says of the job that has it. Pure.

https://docs.gitlab.com/ci/secrets/id_token_authentication/
"""

from collections.abc import Mapping
from typing import Any

from gateway.access.oidc.claims import matches
from gateway.config.publish.trusted_publishers import GITLAB, GitLabPublisher
from gateway.publish.trusted.github import same
from gateway.publish.trusted.sources import service, source, subject, text_of

TELLING = ("project_path", "ci_config_ref_uri", "environment", "ref_path", "pipeline_source", "namespace_id")
_MERGE_REFS = "refs/merge-requests/"
_MERGE_SOURCES = frozenset({"", "merge_request_event", "external_pull_request_event"})
_CHILD_SOURCE = "parent_pipeline"  # whatever has started the parent
_TAGS = "refs/tags/"


def is_repository(publisher: GitLabPublisher, claims: Mapping[str, Any]) -> bool:
    """Whether the job is one of the publisher's project, by its path."""
    return same(text_of(claims, "project_path"), publisher.repository)


def mismatch(publisher: GitLabPublisher, claims: Mapping[str, Any]) -> str:
    """Why a job of the project is not the publisher's; empty if it is.

    | claim                     | has to be                                                                      |
    |---------------------------|--------------------------------------------------------------------------------|
    | namespace_id              | `owner_id`, if that is given                                                   |
    | pipeline_source, ref_path | not those of a merge request, which may be a fork's; `ref`, if that is given   |
    | ref_protected             | true for a child pipeline of a branch: a merge request may have started that,  |
    |                           | and then the branch is the fork's, which may be called like a protected one    |
    | ci_config_ref_uri         | the file of the pipeline, in the project itself, as it is at the job's own ref |
    | environment               | exactly `environment`, if that is given: GitLab tells cases apart              |
    """
    ref, started_by = text_of(claims, "ref_path"), text_of(claims, "pipeline_source")
    if publisher.owner_id is not None and text_of(claims, "namespace_id") != publisher.owner_id:
        return "the namespace of the project is not the configured one, by its id"
    if started_by in _MERGE_SOURCES or ref.startswith(_MERGE_REFS):
        return "merge requests may not publish"
    if started_by == _CHILD_SOURCE and not ref.startswith(_TAGS) and text_of(claims, "ref_protected") != "true":
        return "child pipelines may publish from protected branches and tags only: a merge request may have started it"
    if publisher.ref is not None and not matches(ref, publisher.ref):
        return f"the ref is not {publisher.ref}"
    if not _is_pipeline(publisher, text_of(claims, "ci_config_ref_uri"), {ref, text_of(claims, "sha")} - {""}):
        return f"the pipeline is not {publisher.pipeline} of this project, at its own ref"
    if publisher.environment is not None and text_of(claims, "environment") != publisher.environment:
        return f"the environment is not {publisher.environment}"
    return ""


def _is_pipeline(publisher: GitLabPublisher, found: str, versions: set[str]) -> bool:
    project = f"{publisher.issuer.partition('://')[2].rstrip('/')}/{publisher.repository}"
    return same(found[: len(project)], project) and found[len(project) :] in {
        f"//{publisher.pipeline}@{version}" for version in versions
    }


def told(publisher: GitLabPublisher, claims: Mapping[str, Any]) -> tuple[str, str]:
    """The subject and the source of what the job publishes."""
    project, ref, issuer = text_of(claims, "project_path"), text_of(claims, "ref_path"), publisher.issuer
    fields = [
        ("kind", "GitLab"),
        ("issuer", issuer if issuer != GITLAB else ""),
        ("repository", project),
        ("sha", text_of(claims, "sha")),
        ("workflow", publisher.pipeline),
        ("run", text_of(claims, "pipeline_id")),
        ("ref", ref),
        ("environment", text_of(claims, "environment")),
    ]
    return subject(f"{service('gitlab', issuer, GITLAB)}:{project}//{publisher.pipeline}@{ref}"), source(fields)
