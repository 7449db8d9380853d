"""botocore's data files, parsed once in a process: each session would read them again, in a quarter of a second."""

from functools import cache

import botocore.loaders
import botocore.session


def share_botocore_data() -> None:
    """All sessions of this process get one loader for each search path; nothing writes to what a loader returns."""
    botocore.session.create_loader = cache(botocore.loaders.create_loader)
