"""Puts together what publishes and changes releases at a mount."""

from typing import TYPE_CHECKING, NamedTuple

from gateway.access.access import Access
from gateway.config.publish.settings import PublishSettings
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem
from gateway.index.catalog.recognised import Catalog
from gateway.index.resources import Resources
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.publish.condition.condition import Condition
from gateway.publish.rules import Rules
from gateway.publish.visibility import Audience, Visibility
from gateway.storage.base import Storage
from gateway.storage.budgets import Budgets

if TYPE_CHECKING:
    from gateway.index.status.statuses import ProjectStatuses
    from gateway.publish.attestations.attestations import Attestations
    from gateway.publish.management.management import Management
    from gateway.publish.trusted.exchange import Exchange
    from gateway.publish.uploads import Uploads


class Publishing(NamedTuple):
    """What changes an index over HTTP."""

    uploads: "Uploads"
    management: "Management"


def build_publishing(
    settings: Settings,
    storage: Storage,
    catalog: Catalog,
    metadata: FileMetadata,
    root: str,
    access: Access,
    resources: Resources,
    audience: Audience,
    statuses: "ProjectStatuses | None",
    budgets: Budgets,
) -> Publishing:
    """Below the key `root`. Without `statuses`, all projects are active. Raises ConfigError if the extra, or a key, is
    missing."""
    try:
        from gateway.index.status.stored import StoredStatuses
        from gateway.publish.life_cycle.life_cycle import LifeCycle
        from gateway.publish.life_cycle.marking import Marking
        from gateway.publish.management.management import Management
        from gateway.publish.management.status import StatusManagement
        from gateway.publish.publisher import Publisher
        from gateway.publish.static_pages.static_pages import static_pages_of
        from gateway.publish.uploads import UploadBudget, Uploads
    except ImportError as missing:
        message = "uploads need a library: pip install 's3-package-gateway[publish]'"
        raise ConfigError([Problem("publish.enabled", "settings", message)]) from missing
    publish = settings.publish
    rules, pages = Rules.without(publish.skip_rules), static_pages_of(settings, storage, root)
    publisher = Publisher(storage, catalog, root, rules, pages, statuses)
    condition = Condition(storage, unsafe=publish.unsafe)
    visibility = Visibility(catalog, metadata, audience)
    life_cycle = LifeCycle(storage, catalog, metadata, root, pages)
    marks = None
    if statuses is not None:
        stored = StoredStatuses(storage, root, last=statuses.last)
        marks = StatusManagement(Marking(stored, catalog, pages), resources, root, visibility)
    exchange = _exchange(publish, storage, access, condition)
    attestations = _attestations(publish)
    budget = budgets.part(UploadBudget)
    return Publishing(
        Uploads(publish, rules, publisher, condition, access, resources, visibility, budget, exchange, attestations),
        Management(life_cycle, marks, access, resources, root, visibility),
    )


def _exchange(settings: PublishSettings, storage: Storage, access: Access, condition: Condition) -> "Exchange | None":
    """None without trusted publishers. Raises ConfigError if there is no key to sign their tokens with."""
    if not settings.trusted or settings.audience is None:
        return None
    from gateway.access.oidc.issuers import Issuers
    from gateway.publish.trusted.exchange import Exchange
    from gateway.publish.trusted.minting import Minting
    from gateway.publish.trusted.publishers import Publishers
    from gateway.publish.trusted.used_tokens import UsedTokens

    if access.gate is None or access.gate.signing_key is None:
        message = "needs a key in access.tokens that signs: there are only public keys, which verify"
        raise ConfigError([Problem("publish.trusted", "settings", message)])
    publishers = Publishers(settings.trusted)
    issuers = Issuers(publishers.hosts, setting="publish.trusted")
    minting = Minting(settings.audience, publishers, issuers, UsedTokens(storage, condition))
    return Exchange(settings.audience, minting, access)


def _attestations(settings: PublishSettings) -> "Attestations | None":
    """None if they are ignored. Raises ConfigError if they can't be verified."""
    if settings.attestations == "ignore":
        return None
    from gateway.publish.attestations.build import build_verifier

    verifier = build_verifier(settings, "publish.attestations", "publish,access,")
    from gateway.publish.attestations.attestations import Attestations

    return Attestations(verifier, required=settings.attestations == "require")
