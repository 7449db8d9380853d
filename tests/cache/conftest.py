"""Fills without a gateway around them."""

from pathlib import Path

import pytest

from gateway.cache.disk.cache import DiskCache
from gateway.cache.fills import Fills
from gateway.transfer.parallel import MemoryBudget
from tests.support.fills import DISK_BYTES, WINDOW_BYTES, Kept, NoSource


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def budget() -> MemoryBudget:
    return MemoryBudget(WINDOW_BYTES, 4)


@pytest.fixture
def disk(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, DISK_BYTES, "bucket")


@pytest.fixture
def on_disk(budget: MemoryBudget, disk: DiskCache, kept: Kept) -> Fills:
    return Fills(NoSource(), budget, disk, kept)
