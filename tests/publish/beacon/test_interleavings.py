"""Two gateways write and read one beacon, in any order: neither misses what the other has published."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.publish.beacon.ring import MOST_CHANGES, Change, Ring, decode
from gateway.publish.beacon.watch import Watch
from gateway.publish.beacon.watch import decode as decode_watch

BOTH = st.integers(0, 1)


@dataclass
class Replica:
    """A gateway. `heard` are the ids of the changes of which it has been told."""

    note: bytes = b""
    heard: set[str] = field(default_factory=set)
    up_to_date: bool = False
    pending: tuple[Change, ...] = ()
    read: tuple[bytes | None, int] | None = None


class Interleavings(RuleBasedStateMachine):
    """The object, as a storage with conditional writes keeps it, is `content`; `version` is its ETag."""

    def __init__(self) -> None:
        super().__init__()
        self.content: bytes | None = None
        self.version = 0
        self.written: set[str] = set()
        self.count = 0
        self.replicas = (Replica(), Replica())
        for replica in self.replicas:
            self._poll(replica)

    @rule(number=BOTH, count=st.sampled_from([1, 1, 2, MOST_CHANGES - 1, MOST_CHANGES, MOST_CHANGES + 1]))
    def publish(self, number: int, count: int) -> None:
        """The files are there; now others are to be told."""
        replica = self.replicas[number]
        if not replica.pending:
            self.count += count
            replica.pending = tuple(Change(f"{self.count - each:016x}", "acme") for each in range(count))

    @rule(number=BOTH)
    def read_before_writing(self, number: int) -> None:
        self.replicas[number].read = self.content, self.version

    @rule(number=BOTH)
    def write(self, number: int) -> None:
        replica = self.replicas[number]
        if replica.read is None or not replica.pending:
            return
        (content, version), replica.read = replica.read, None
        ring = self._ring(content) or Ring()
        if version == self.version:
            self._put(ring.with_changes(replica.pending).encode())
            self.written |= {change.id for change in replica.pending}
            replica.pending = ()

    @rule(number=BOTH)
    def poll(self, number: int) -> None:
        self._poll(self.replicas[number])

    @rule(content=st.sampled_from([b"garbage", Ring().encode()]))
    def somebody_meddles(self, content: bytes) -> None:
        self._put(content)

    @precondition(lambda self: all(replica.up_to_date for replica in self.replicas))
    @rule()
    def somebody_removes_it(self) -> None:
        """Not between a write and the first reading of it: to a gateway that knows of no beacon, there was none."""
        self._put(None)

    @invariant()
    def whoever_has_just_read_has_heard_of_all(self) -> None:
        for replica in self.replicas:
            assert not replica.up_to_date or self.written <= replica.heard

    def _put(self, content: bytes | None) -> None:
        self.content, self.version = content, self.version + 1
        for replica in self.replicas:
            replica.up_to_date = False

    def _poll(self, replica: Replica) -> None:
        watch = decode_watch(replica.note)
        etag = str(self.version) if self.content is not None else None
        if etag is not None and watch.etag == etag:
            after = watch.unchanged(0.0)
        else:
            ring = self._ring(self.content)
            after, changes = watch.found(ring, etag, 0.0)
            replica.heard |= {change.id for change in changes} if changes is not None else self.written
        replica.note, replica.up_to_date = after.encode(), True

    @staticmethod
    def _ring(content: bytes | None) -> Ring | None:
        if content is None:
            return Ring()
        try:
            return decode(content)
        except ValueError:
            return None


TestInterleavings = Interleavings.TestCase


def test_a_note_that_is_torn_says_nothing() -> None:
    watch = Watch("0123456789abcdef", '"etag"', 1.0, 2.0, 3.0)
    assert decode_watch(watch.encode()) == watch
    assert decode_watch(Watch().encode()) == Watch()
    for content in (b"", watch.encode()[:-1], b"{}x", b"[]", b'{"position": 1}', b'{"pause": "x"}', b'{"more": 1}'):
        assert decode_watch(content) == Watch()
