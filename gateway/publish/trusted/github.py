"""What a token of GitHub Actions says of the job that has it. Pure.

https://docs.github.com/en/actions/reference/security/oidc
"""

from collections.abc import Mapping
from typing import Any

from gateway.access.oidc.claims import matches
from gateway.config.publish.trusted_publishers import GITHUB, GitHubPublisher
from gateway.publish.trusted.sources import service, source, subject, text_of

# Told to a client whose token fits no publisher.
TELLING = ("repository", "job_workflow_ref", "environment", "ref", "event_name", "repository_owner_id")
_PULL_REFS = "refs/pull/"
_PULL_EVENTS = "pull_request"  # and what begins so: of some, anybody's changes run with the repository's rights


def same(one: str, other: str) -> bool:
    """Whether two names are the same in ASCII, whatever the case. Beyond it, some letters are lower-cased to ASCII."""
    return one == other or (one.isascii() and other.isascii() and one.lower() == other.lower())


def is_repository(publisher: GitHubPublisher, claims: Mapping[str, Any]) -> bool:
    """Whether the job is one of the publisher's repository, by its name."""
    return same(text_of(claims, "repository"), publisher.repository)


def mismatch(publisher: GitHubPublisher, claims: Mapping[str, Any]) -> str:
    """Why a job of the repository is not the publisher's; empty if it is.

    | claim               | has to be                                                                            |
    |---------------------|--------------------------------------------------------------------------------------|
    | repository_owner_id | `owner_id`, if that is given                                                         |
    | event_name, ref     | not those of a pull request, whose changes may be a stranger's; `ref`, if given      |
    | job_workflow_ref    | the file that has the job, in the repository itself, as it is at the job's own ref   |
    | environment         | `environment`, if that is given                                                      |
    """
    event, ref = text_of(claims, "event_name"), text_of(claims, "ref")
    if publisher.owner_id is not None and text_of(claims, "repository_owner_id") != publisher.owner_id:
        return "the owner of the repository is not the configured one, by its id"
    if not event or event.startswith(_PULL_EVENTS) or ref.startswith(_PULL_REFS):
        return "pull requests may not publish"
    if publisher.ref is not None and not matches(ref, publisher.ref):
        return f"the ref is not {publisher.ref}"
    if not _is_workflow(publisher, text_of(claims, "job_workflow_ref"), {ref, text_of(claims, "sha")} - {""}):
        return f"the job is not one of .github/workflows/{publisher.workflow} of this repository, at its own ref"
    if publisher.environment is not None and not same(text_of(claims, "environment"), publisher.environment):
        return f"the environment is not {publisher.environment}"
    return ""


def _is_workflow(publisher: GitHubPublisher, found: str, versions: set[str]) -> bool:
    """A job of a reusable workflow is that of the file in which it stands: workflow_ref, the file that calls it, may be
    another one."""
    repository, rest = found[: len(publisher.repository)], found[len(publisher.repository) :]
    return same(repository, publisher.repository) and rest in {
        f"/.github/workflows/{publisher.workflow}@{version}" for version in versions
    }


def told(publisher: GitHubPublisher, claims: Mapping[str, Any]) -> tuple[str, str]:
    """The subject and the source of what the job publishes."""
    environment, issuer = text_of(claims, "environment"), publisher.issuer if publisher.issuer != GITHUB else ""
    fields = [
        ("kind", "GitHub"),
        ("issuer", issuer),  # never left out: a repository of that name is another one elsewhere
        ("repository", text_of(claims, "repository")),
        ("sha", text_of(claims, "sha")),
        ("workflow", publisher.workflow),
        ("run", text_of(claims, "run_id")),
        ("ref", text_of(claims, "ref")),
        ("environment", environment),
    ]
    return subject(f"{service('github', publisher.issuer, GITHUB)}:{text_of(claims, 'job_workflow_ref')}"), source(
        fields
    )
