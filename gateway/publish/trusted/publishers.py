"""The publishers that are configured, and the one whose job has a token. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.access.oidc.claims import matches
from gateway.config.access.oidc import claim_text
from gateway.config.publish.trusted_publishers import GitHubPublisher, GitLabPublisher, OtherPublisher, TrustedPublisher
from gateway.publish.trusted import github, gitlab
from gateway.publish.trusted.sources import source, subject, text_of

_MAX_SHOWN = 200
_MAX_REASONS = 3


class NoPublisherError(Exception):
    """No publisher that is configured has the token. The text says why; it quotes claims, which are no secret."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a job may publish, as patterns of projects; as whom; and where that comes from (see sources.py)."""

    projects: tuple[str, ...]
    subject: str
    source: str


class Publishers:
    """Those of one index."""

    def __init__(self, publishers: Sequence[TrustedPublisher]) -> None:
        self._by_issuer: dict[str, list[TrustedPublisher]] = {}
        for publisher in publishers:
            self._by_issuer.setdefault(publisher.issuer, []).append(publisher)

    @property
    def hosts(self) -> Mapping[str, Sequence[str]]:
        """The issuers, each with the internal hosts that may have its keys."""
        return {
            issuer: [host for publisher in publishers for host in publisher.allow_hosts]
            for issuer, publishers in self._by_issuer.items()
        }

    def grant(self, issuer: str, claims: Mapping[str, Any]) -> Grant:
        """What the job may do whose token has these claims, which `issuer` has signed. Raises NoPublisherError.

        Only the publishers of that issuer are asked: another one could claim anything. If several are the job's, it may
        publish what each of them may."""
        known, reasons, found = self._by_issuer.get(issuer, []), list[str](), list[TrustedPublisher]()
        for publisher in known:
            if not _is_repository(publisher, claims):
                continue
            if reason := _mismatch(publisher, claims):
                reasons.append(reason)
            else:
                found.append(publisher)
        if not found:
            raise NoPublisherError(_few([*dict.fromkeys(reasons)]) or _unknown(known, claims))
        projects = dict.fromkeys(pattern.text for publisher in found for pattern in publisher.projects)
        return Grant(tuple(projects), *_told(found[0], claims))


def _is_repository(publisher: TrustedPublisher, claims: Mapping[str, Any]) -> bool:
    match publisher:
        case GitHubPublisher():
            return github.is_repository(publisher, claims)
        case GitLabPublisher():
            return gitlab.is_repository(publisher, claims)
        case OtherPublisher():
            return True


def _mismatch(publisher: TrustedPublisher, claims: Mapping[str, Any]) -> str:
    reason = ""
    if isinstance(publisher, GitHubPublisher):
        reason = github.mismatch(publisher, claims)
    elif isinstance(publisher, GitLabPublisher):
        reason = gitlab.mismatch(publisher, claims)
    for name, pattern in publisher.claims.items() if not reason else ():
        text = claim_text(claims.get(name))
        if text is None or not matches(text, pattern):
            return f"the claim {name} is absent or differs"
    return reason


def _told(publisher: TrustedPublisher, claims: Mapping[str, Any]) -> tuple[str, str]:
    match publisher:
        case GitHubPublisher():
            return github.told(publisher, claims)
        case GitLabPublisher():
            return gitlab.told(publisher, claims)
        case OtherPublisher():
            issuer, name = publisher.issuer, text_of(claims, "sub")
            host = issuer.partition("://")[2].rstrip("/")
            return subject(f"{host}:{name}"), source([("kind", "Issuer"), ("issuer", issuer), ("subject", name)])


def _few(reasons: Sequence[str]) -> str:
    more = [f"and {len(reasons) - _MAX_REASONS} more"] if len(reasons) > _MAX_REASONS else []
    return "; ".join([*reasons[:_MAX_REASONS], *more])


def _unknown(known: Sequence[TrustedPublisher], claims: Mapping[str, Any]) -> str:
    """What the token says of its job: whoever has it can read that, and see what is not as it was meant."""
    names = dict.fromkeys(name for publisher in known for name in _telling(publisher))
    said = [f"{name}={text[:_MAX_SHOWN]!r}" for name in names if (text := text_of(claims, name))]
    return f"no publisher is configured for a token that says {', '.join(said) or 'nothing of its job'}"


def _telling(publisher: TrustedPublisher) -> Sequence[str]:
    return github.TELLING if isinstance(publisher, GitHubPublisher) else gitlab.TELLING
