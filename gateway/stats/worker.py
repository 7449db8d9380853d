"""What one process holds besides its mounts, and what its mounts hold together."""

import platform
from collections.abc import Iterator, Mapping

from gateway import __version__, executors
from gateway.cache.lru import MemoryPool
from gateway.ops.readings.read_metrics import Reading
from gateway.server.connections.admission import Admission
from gateway.storage.budgets import Budgets

_VERSIONS = __version__, platform.python_version()


def process_readings(lag_seconds: float) -> Iterator[Reading]:
    """`lag_seconds` is how late the event loop was of late."""
    yield Reading("gateway_build_info", _VERSIONS, 1)
    yield Reading("gateway_workers", (), 1)
    yield Reading("gateway_event_loop_lag_seconds", (), lag_seconds)
    for executor in executors.ALL:
        stats, labels = executor.stats(), (executor.name,)
        yield Reading("gateway_executor_threads", labels, stats["threads"])
        yield Reading("gateway_executor_threads_max", labels, executor.threads)
        yield Reading("gateway_executor_queue_length", labels, stats["waiting"])


def client_readings(clients: Admission) -> Iterator[Reading]:
    """The connections of clients."""
    stats = clients.stats()
    yield Reading("gateway_client_connections", (), stats["open"])
    yield Reading("gateway_client_connections_max", (), stats["max"])
    yield Reading("gateway_client_connections_refused", (), stats["refused_total"])


def budget_readings(budgets: Budgets) -> Iterator[Reading]:
    """What the mounts share."""
    yield from memory_readings(budgets.pools)
    if (transfer := budgets.transfer) is not None:
        yield Reading("gateway_transfer_memory_bytes", (), transfer.max_bytes - transfer.free)
        yield Reading("gateway_transfer_memory_max_bytes", (), transfer.max_bytes)
    if (disk := budgets.quota) is not None:
        yield Reading("gateway_disk_cache_max_bytes", (), disk.max_bytes)
        if (held := disk.stats()) is not None:
            yield Reading("gateway_disk_cache_bytes", (), held.bytes)
            yield Reading("gateway_disk_cache_entries", (), held.entries)


def memory_readings(pools: Mapping[str, MemoryPool]) -> Iterator[Reading]:
    """`pools` are by their purpose."""
    for pool, memory in pools.items():
        yield Reading("gateway_memory_cache_max_bytes", (pool,), memory.max_bytes)
        for cache, held in memory.stats().items():
            yield Reading("gateway_memory_cache_bytes", (pool, cache), held.bytes)
            yield Reading("gateway_memory_cache_entries", (pool, cache), held.entries)
