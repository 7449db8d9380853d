"""The advisories that the settings name."""

import hashlib
from pathlib import Path

from gateway.config.policy.settings import AdvisorySettings
from gateway.index.screening.advisories.advisories import Advisories
from gateway.index.screening.advisories.file_source import FileSource
from gateway.index.screening.advisories.shelf import PrivateShelf, SharedShelf, Shelf
from gateway.index.screening.advisories.source import ArchiveSource
from gateway.index.screening.advisories.url_source import UrlSource
from gateway.storage.s3.clients import client_for
from gateway.upstream.address_policy import AddressPolicy

FOLDER = "advisories"
_NAME_DIGITS = 32


def build_advisories(settings: AdvisorySettings, cache: Path | None, allow_hosts: list[str]) -> Advisories:
    """What is read is kept in the directory `cache`, if there is one. Raises ConfigError if the environment's proxies
    can't be used."""
    source: ArchiveSource
    if (file := settings.file) is not None:
        source = FileSource(file)
    else:
        client = client_for(settings.source, AddressPolicy(settings.source, allow_hosts))
        source = UrlSource(settings.source, client, settings.refresh)
    name = hashlib.sha256(settings.source.encode()).hexdigest()[:_NAME_DIGITS]
    shelf: Shelf = SharedShelf(cache / FOLDER, name) if cache is not None else PrivateShelf(name)
    return Advisories(source, shelf)
