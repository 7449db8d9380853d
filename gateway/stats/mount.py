"""What one mount holds, and has counted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from math import inf

from gateway.mounting.mount import Mount
from gateway.mounting.own_files import screens_of
from gateway.ops.readings.read_metrics import Reading


def mount_readings(mount: Mount) -> Iterator[Reading]:
    """Its series."""
    name, storage = mount.name, mount.storage.stats()
    expires_at = mount.storage.credentials_expire_at()
    left = float("inf") if expires_at is None else expires_at - time.time()
    yield Reading("gateway_credentials_expiry_seconds", (name,), left)
    for upstream, circuits in mount.circuits.items():
        yield Reading("gateway_circuits_open", (name, upstream), len(circuits.down()))
    yield from _connections(name, "storage", storage)
    if mount.fallback is not None:
        yield from _connections(name, "index", mount.fallback.upstream.stats())
    yield from _policy(mount)
    if "fills" in storage:  # it has a cache
        yield Reading("gateway_cache_fills", (name,), storage["fills"])
        yield Reading("gateway_cache_fill_readers", (name,), storage["fill_readers"])
        yield Reading("gateway_disk_cache_off", (name,), storage["disk_off"])
    if mount.catalog is not None:
        yield Reading("gateway_listing_age_seconds", (name,), mount.listing_ages.value)
    if mount.mirrored is not None:
        downloads = mount.mirrored.stats()
        yield Reading("gateway_downloads", (name,), downloads.downloads)
        yield Reading("gateway_downloads_temp_bytes", (name,), downloads.temp_bytes)


def _policy(mount: Mount) -> Iterator[Reading]:
    """Nothing without a policy."""
    if not (screens := screens_of(mount)):
        return
    for verdict in ("hold", "deny"):
        refused = sum(screen.refused[verdict] for screen in screens)
        yield Reading("gateway_policy_refusals", (mount.name, verdict), refused)
    yield Reading("gateway_policy_exceptions", (mount.name,), len(screens[-1].exceptions.all))
    if (advisories := screens[-1].states().get("advisories")) is not None:
        age = advisories.get("age_seconds", inf)
        assert isinstance(age, (int, float))
        yield Reading("gateway_policy_advisories_age_seconds", (mount.name,), age)


def _connections(mount: str, upstream: str, stats: Mapping[str, int]) -> Iterator[Reading]:
    """A storage of your own may have none."""
    if "connections_max" not in stats:
        return
    for state in ("busy", "idle"):
        yield Reading("gateway_upstream_connections", (mount, upstream, state), stats[f"connections_{state}"])
    yield Reading("gateway_upstream_connections_max", (mount, upstream), stats["connections_max"])
    yield Reading("gateway_upstream_requests_waiting", (mount, upstream), stats["requests_waiting"])
    yield Reading("gateway_upstream_retries", (mount, upstream), stats["retries_total"])


def upload_readings(mounts: Sequence[Mount]) -> Iterator[Reading]:
    """Uploads at all mounts, which share their memory."""
    uploads = next((mount.uploads for mount in mounts if mount.uploads is not None), None)
    for memory, found in uploads.memory.items() if uploads is not None else ():
        stats, labels = found.stats(), (memory,)
        yield Reading("gateway_uploads_running", labels, stats["running"])
        yield Reading("gateway_uploads_waiting", labels, stats["waiting"])
        yield Reading("gateway_upload_memory_bytes", labels, stats["used"])
        yield Reading("gateway_upload_memory_max_bytes", labels, stats["max"])
