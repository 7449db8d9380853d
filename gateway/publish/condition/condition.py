"""Whether the storage lets only one writer of a name win: found out at the start, and before a file relies on it."""

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.errors import ConditionIgnoredError, GatewayError, without_frames
from gateway.publish.condition.probe import Way, twice
from gateway.single_flight import SingleFlight
from gateway.storage.base import Storage
from gateway.storage.s3.upload import PART_BYTES

# A server that ignored the condition may have been replaced by a newer one.
_AGAIN_SECONDS = 60.0

log = logging.getLogger("gateway.publish")


class Condition:
    """Probes a storage, once for each way of writing. What is heeded once is not asked again."""

    def __init__(self, storage: Storage, *, unsafe: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`unsafe` takes files even where the storage ignores the condition."""
        self._storage = storage
        self._unsafe = unsafe
        self._clock = clock
        self._heeded: set[Way] = set()
        self._ignored: dict[Way, float] = {}  # and when that was found
        self._probes = SingleFlight[bool]()
        self._first: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._first = asyncio.get_running_loop().create_task(self._begin())

    async def probed(self) -> None:
        """Returns when the probe of the start has ended, however it did."""
        if self._first is not None:
            await asyncio.wait([self._first])

    async def close(self) -> None:
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await self._probes.close()

    async def demand(self, length: int) -> bool:
        """Whether a file of about `length` bytes can be written under the condition. Raises ConditionIgnoredError if it
        can't, unless that is `unsafe`, and other GatewayErrors if the storage can't be asked."""
        way = Way.PARTS if length > PART_BYTES else Way.WHOLE
        heeded = await self._is_heeded(way)
        if not heeded and not self._unsafe:
            raise ConditionIgnoredError(f"the storage ignores If-None-Match ({way.value})")
        return heeded

    async def _is_heeded(self, way: Way) -> bool:
        if way in self._heeded:
            return True
        found = self._ignored.get(way)
        if found is not None and self._clock() - found < _AGAIN_SECONDS:
            return False
        return await self._probes.once(way, lambda: self._probe(way))

    async def _probe(self, way: Way) -> bool:
        heeded = (await twice(self._storage, way)).heeded
        if heeded:
            self._heeded.add(way)
        else:
            self._ignored[way] = self._clock()
            what = "objects in parts" if way is Way.PARTS else "objects"
            ignores = f"the storage ignores the condition If-None-Match when it writes {what}"
            if self._unsafe:
                log.warning("%s: of several uploads of one name at once, the last wins (publish.unsafe)", ignores)
            else:
                log.error("%s: uploads are refused, because they could replace files; see publish.unsafe", ignores)
        return heeded

    async def _begin(self) -> None:
        try:
            await self._is_heeded(Way.WHOLE)
        except GatewayError as error:
            log.warning("the storage could not be tried, it is tried again with the first upload: %s", error)
            without_frames(error)
        except Exception:
            log.exception("the storage could not be tried: this is a bug")
