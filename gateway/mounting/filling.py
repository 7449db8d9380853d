"""How people fill an empty index, by the settings of a mount."""

from gateway.config.settings import Settings
from gateway.index.browse.pages import Filling
from gateway.index.browse.view import upload_lines


def filling_of(settings: Settings, *, by_folder: bool) -> Filling:
    """`by_folder`: each project has a folder of its own."""
    has_prefix = bool(settings.storage.prefix or settings.rewrite.add_prefix)
    lines = upload_lines(settings.storage.resolved_backend, by_folder=by_folder, has_prefix=has_prefix)
    return Filling(lines, by_folder, settings.index.refresh)
