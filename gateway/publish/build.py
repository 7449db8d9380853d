"""Puts the uploads of a mount together."""

from typing import TYPE_CHECKING

from gateway.access.access import Access
from gateway.config.publish_settings import PublishSettings
from gateway.errors import ConfigError, Problem
from gateway.index.catalog.recognised import Catalog
from gateway.index.resources import Resources
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.publish.condition.condition import Condition
from gateway.publish.rules import Rules
from gateway.publish.visibility import Audience, Visibility
from gateway.storage.base import Storage

if TYPE_CHECKING:
    from gateway.publish.uploads import Uploads


def build_uploads(
    settings: PublishSettings,
    storage: Storage,
    catalog: Catalog,
    metadata: FileMetadata,
    root: str,
    access: Access,
    resources: Resources,
    audience: Audience,
) -> "Uploads":
    """Below the key `root`. Raises ConfigError if the extra is missing."""
    try:
        from gateway.publish.publisher import Publisher
        from gateway.publish.uploads import Uploads
    except ImportError as missing:
        message = "uploads need a library: pip install 's3-package-gateway[publish]'"
        raise ConfigError([Problem("publish.enabled", "settings", message)]) from missing
    rules = Rules.without(settings.skip_rules)
    publisher = Publisher(storage, catalog, root, rules)
    condition = Condition(storage, unsafe=settings.unsafe)
    return Uploads(settings, rules, publisher, condition, access, resources, Visibility(catalog, metadata, audience))
