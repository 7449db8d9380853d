"""Bodies that survive: exact bytes, or a visible failure, whatever the bucket does in the middle."""

import random
import struct
from functools import lru_cache

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.config.cache_settings import ParallelSettings
from gateway.config.storage_settings import StorageSettings
from gateway.errors import GatewayError, UpstreamError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.resuming import ResumingStorage
from gateway.storage.s3.signing.credentials import CredentialSource, chain
from gateway.storage.s3.storage import S3Storage
from gateway.transfer import parallel
from gateway.transfer.concurrency import AdaptiveConcurrency
from gateway.transfer.parallel import MemoryBudget
from gateway.transfer.part import ObjectChangedError
from gateway.upstream.circuits import Circuits
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import BUCKET, Answer, Behaviour, FaultyBucket, error, etag_of
from tests.support.http import fetch
from tests.support.nightly import NIGHTLY

STEP = 64 * 1024


class Eager(AdaptiveConcurrency):
    """All connections after the first bytes: here all is one process, and its times say nothing."""

    def note(self, now: float, part_bytes: int) -> bool:
        if self._bytes < STEP:
            return False
        self._bytes, self.connections = 0, self._most
        return True


@lru_cache(maxsize=4)
def content(size: int, version: int = 0) -> bytes:
    """Each 4 bytes tell where they are, and of which version."""
    return struct.pack(f">{size // 4}I", *range(version << 28, (version << 28) + size // 4))


async def storage_of(
    faulty: FaultyBucket,
    parallel: ParallelSettings | None = None,
    circuits: Circuits | None = None,
    **options: object,
) -> ResumingStorage:
    settings = StorageSettings.model_validate(
        {
            "bucket": BUCKET,
            "endpoint_url": faulty.url,
            "addressing_style": "path",
            "region_name": "us-east-1",
            "read_timeout": 0.2,
            "max_attempts": 3,
            **options,
        }
    )
    backend = S3Storage(
        settings,
        CredentialSource(chain(access_key="AK", secret_key="SK")),
        MemoryLimit(10**6),
        index_document="index.html",
        circuits=circuits,
    )
    parallel = parallel or ParallelSettings()
    storage = ResumingStorage(backend, parallel, MemoryBudget(parallel.memory_bytes, parallel.connections))
    await storage.start()
    return storage


def part_of(answer: Answer, body: bytes) -> tuple[int, int]:
    first, _, last = answer.request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
    return int(first), int(last) + 1 if last else len(body)


def cut(after: int, how: str) -> Behaviour:
    """Answers rightly, but only `after` bytes of the body; then breaks, stalls, or ends as if that were all."""

    async def behave(answer: Answer) -> None:
        body = answer.bucket.objects[answer.request.key]
        etag = etag_of(body)
        if answer.request.headers.get("if-match", etag) != etag:
            return await error(412, "PreconditionFailed")(answer)
        start, stop = part_of(answer, body)
        headers = [("ETag", etag), ("Content-Length", str(stop - start))]
        status = 200
        if "range" in answer.request.headers:
            status = 206
            headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}"))
        if how == "longer":  # than it says
            return await answer.send(status, headers, body[start:stop] + b"more")
        if how == "elsewhere" and status == 206 and start:  # another part than was asked for
            headers[2] = ("Content-Range", f"bytes {start - 1}-{stop - 2}/{len(body)}")
            return await answer.send(status, headers, body[start - 1 : stop - 1])
        await answer.send(status, headers, body[start : min(start + after, stop)])
        if how == "reset":
            answer.reset()
        elif how == "close":
            answer.writer.close()
        elif how == "stall":
            await faults.stall(answer)
        return None

    return behave


async def read(storage: ResumingStorage, **headers: str) -> tuple[int, bytes, GatewayError | None]:
    stream = await storage.fetch(ObjectRequest("GET", "k", headers))
    assert isinstance(stream, Stream)
    assert stream.body is not None
    got: list[bytes] = []
    failure = None
    try:
        async for chunk in stream.body:
            got.append(chunk)
    except GatewayError as error:
        failure = error
    stream.close()
    return stream.status, b"".join(got), failure


def answering(status: int, **headers: str) -> Behaviour:
    async def behave(answer: Answer) -> None:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await answer.send(
            status, [("ETag", etag_of(content(100))), *named], b"" if status == 304 else content(100)[:10]
        )

    return behave


@pytest.mark.parametrize(
    "behaviour",
    [
        answering(206, Content_Range="bytes 0-9/100"),
        answering(206),
        answering(304),
        answering(204),
    ],
)
async def test_no_part_is_taken_for_the_whole_and_nothing_for_an_object(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], behaviour: Behaviour
) -> None:
    faulty.objects["p/p-1.0.tar.gz"] = content(100)
    gateway = await start_gateway(faulty_settings)
    port = int(gateway.url.rpartition(":")[2])

    async def of_the_object(answer: Answer) -> None:
        await (behaviour if answer.request.key.startswith("p/") else faults.healthy)(answer)

    faulty.then(of_the_object, times=10)
    assert (await fetch(port, "/p/p-1.0.tar.gz")).status == 502
    faulty.script.clear()
    whole = await fetch(port, "/p/p-1.0.tar.gz")
    assert (whole.status, whole.body) == (200, content(100)), "nothing was kept"


@pytest.mark.parametrize(
    ("known", "told", "status"),
    [
        ('"mine"', '"mine"', 304),
        ('W/"mine"', '"mine"', 304),
        ('"other", "mine"', 'W/"mine"', 304),
        ("*", '"theirs"', 304),
        ('"mine"', "", 304),
        ('"mine"', '"theirs"', 200),
        ('"mine"', 'W/"theirs"', 200),
    ],
)
async def test_nobody_is_told_that_his_copy_is_a_version_which_he_has_not(
    faulty: FaultyBucket, known: str, told: str, status: int
) -> None:
    faulty.objects["k"] = content(100)
    storage = await storage_of(faulty)
    faulty.then(faults.serving(b"", [("ETag", told)] if told else [], 304))
    stream = await storage.fetch(ObjectRequest("GET", "k", {"if-none-match": known}))
    body = b"".join([chunk async for chunk in stream.body]) if stream.body is not None else b""
    stream.close()
    assert (stream.status, body) == (status, content(100) if status == 200 else b"")
    assert [request.headers.get("if-none-match") for request in faulty.requests] == [known, None][
        : len(faulty.requests)
    ]
    await storage.close()


async def test_a_storage_that_always_says_304_has_no_object(faulty: FaultyBucket) -> None:
    storage = await storage_of(faulty)
    faulty.then(faults.serving(b"", [("ETag", '"theirs"')], 304), times=2)
    with pytest.raises(UpstreamError, match="304 without a condition"):
        await storage.fetch(ObjectRequest("GET", "k", {"if-none-match": '"mine"'}))
    await storage.close()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("bytes=0-9", "bytes 5-14/100"),
        ("bytes=0-9", "bytes 0-8/100"),
        ("bytes=0-9", "bytes 0-19/100"),
        ("bytes=0-", "bytes 0-9/100"),
        ("bytes=-20", "bytes 90-99/100"),
        ("bytes=100-", "bytes 90-99/100"),
        ("bytes=0-9", "bananas"),
        ("bytes=0-1,5-6", "bananas"),
    ],
)
async def test_a_part_is_the_one_that_was_asked_for(faulty: FaultyBucket, wanted: str, told: str) -> None:
    faulty.objects["k"] = content(100)
    storage = await storage_of(faulty)
    faulty.then(answering(206, Content_Range=told))
    with pytest.raises(UpstreamError, match="206"):
        await storage.fetch(ObjectRequest("GET", "k", {"range": wanted}))
    await storage.close()


async def test_a_part_has_the_length_that_its_range_says(faulty: FaultyBucket) -> None:
    storage = await storage_of(faulty)
    for last in (8, 10):  # and 10 bytes come
        faulty.then(answering(206, Content_Range=f"bytes 0-{last}/100"))
        with pytest.raises(UpstreamError, match=f"206 with bytes 0-{last}/100, which were not requested"):
            await storage.fetch(ObjectRequest("GET", "k", {"range": f"bytes=0-{last}"}))
    await storage.close()


async def test_a_continuation_of_an_object_of_another_size_never_follows(faulty: FaultyBucket) -> None:
    body = faulty.objects["k"] = content(1_000_000)
    storage = await storage_of(faulty)

    async def of_another_size(answer: Answer) -> None:
        start, stop = part_of(answer, body)
        told = [("ETag", etag_of(body)), ("Content-Range", f"bytes {start}-{stop - 1}/{len(body) + 1}")]
        await answer.send(206, told, body[start:stop])

    faulty.then(cut(300_000, "reset"), of_another_size)
    _, got, failure = await read(storage)
    assert len(faulty.requests) == 2
    assert isinstance(failure, ObjectChangedError)
    assert got == body[: len(got)]
    assert len(got) <= 300_000
    await storage.close()


@pytest.mark.parametrize(
    ("wanted", "headers"),
    [
        ("bytes=0-9", {"Content_Range": "bytes 0-9/100"}),
        ("bytes=-10", {"Content_Range": "bytes 90-99/100"}),
        ("bytes=90-200", {"Content_Range": "bytes 90-99/100"}),
        ("bytes=0-1,5-6", {"Content_Type": "multipart/byteranges; boundary=x"}),
    ],
)
async def test_a_part_that_was_asked_for_is_handed_on(
    faulty: FaultyBucket, wanted: str, headers: dict[str, str]
) -> None:
    storage = await storage_of(faulty)
    faulty.then(answering(206, **headers))
    assert await read(storage, range=wanted) == (206, content(100)[:10], None)
    await storage.close()


@pytest.mark.parametrize("how", ["reset", "close", "stall"])
async def test_a_body_that_breaks_off_is_gone_on_with(faulty: FaultyBucket, how: str) -> None:
    body = faulty.objects["k"] = content(1_000_000)
    storage = await storage_of(faulty)
    faulty.then(cut(300_000, how), cut(1, how), cut(500_000, how))
    assert await read(storage) == (200, body, None)
    ranges = [request.headers.get("range") for request in faulty.requests]
    assert ranges[0] is None
    assert [int(text.partition("=")[2].partition("-")[0]) > 0 for text in ranges[1:] if text] == [True] * 3
    assert {request.headers.get("if-match") for request in faulty.requests[1:]} == {etag_of(body)}
    await storage.close()


async def test_a_version_that_breaks_off_is_not_gone_on_with_from_another(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = content(1_000_000)
    storage = await storage_of(faulty)
    faulty.then(cut(300_000, "close"))
    stream = await storage.fetch(ObjectRequest("GET", "k", version="v1"))
    assert isinstance(stream, Stream)
    assert stream.body is not None
    with pytest.raises(GatewayError):
        assert not [chunk async for chunk in stream.body]
    assert [request.target for request in faulty.requests] == [f"/{BUCKET}/k?versionId=v1"]
    stream.close()
    await storage.close()


async def test_a_body_waits_for_a_server_that_is_known_to_be_down(faulty: FaultyBucket) -> None:
    body = faulty.objects["k"] = content(1_000_000)
    circuits = Circuits()
    storage = await storage_of(faulty, circuits=circuits)

    faulty.then(cut(300_000, "reset"))
    stream = await storage.fetch(ObjectRequest("GET", "k"))
    assert isinstance(stream, Stream)
    assert stream.body is not None
    for _ in range(10):
        circuits.failed(f"127.0.0.1:{faulty.port}", "down")  # its head was an answer, which closes the circuit
    assert circuits.down() != {}
    assert b"".join([chunk async for chunk in stream.body]) == body
    assert circuits.down() == {}
    await storage.close()


async def test_a_part_is_gone_on_with_to_its_own_end(faulty: FaultyBucket) -> None:
    body = faulty.objects["k"] = content(1_000_000)
    storage = await storage_of(faulty)
    faulty.then(cut(100_000, "reset"))
    assert await read(storage, range="bytes=1000-799999") == (206, body[1000:800_000], None)
    assert faulty.requests[-1].headers["range"].endswith("-799999")
    await storage.close()


async def test_another_version_never_follows(faulty: FaultyBucket) -> None:
    old = faulty.objects["k"] = content(1_000_000)
    storage = await storage_of(faulty)

    async def cut_and_replace(answer: Answer) -> None:
        await cut(300_000, "none")(answer)
        answer.bucket.objects["k"] = content(1_000_000, version=1)
        answer.reset()

    async def ignores_conditions(answer: Answer) -> None:
        del answer.request.headers["if-match"]
        await faults.healthy(answer)

    for then in (faults.healthy, ignores_conditions):
        faulty.objects["k"] = old
        faulty.then(cut_and_replace, then)
        status, got, failure = await read(storage)
        assert status == 200
        assert got == old[: len(got)]
        assert failure is not None
        assert "changed" in str(failure)
    await storage.close()


async def test_without_a_strong_etag_the_first_fault_is_the_end(faulty: FaultyBucket) -> None:
    storage = await storage_of(faulty)
    for etag in ('W/"x"', ""):

        async def weak(answer: Answer, etag: str = etag) -> None:
            await answer.send(200, [("ETag", etag), ("Content-Length", "1000000")], b"x" * 300_000)
            answer.reset()

        faulty.requests.clear()
        faulty.then(weak)
        _, got, failure = await read(storage)
        assert failure is not None
        assert len(got) <= 300_000
        assert len(faulty.requests) == 1
    await storage.close()


async def test_the_client_sees_one_body_or_a_closed_connection(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    body = faulty.objects["k"] = content(2_000_000)
    gateway = await start_gateway(faulty_settings)
    port = int(gateway.url.rpartition(":")[2])
    faulty.then(cut(700_000, "reset"))
    assert (await fetch(port, "/k")).body == body
    faulty.then(cut(700_000, "reset"), error(412, "PreconditionFailed"))
    answer = await fetch(port, "/k")
    assert answer.headers["content-length"] == str(len(body))
    assert len(answer.body) < len(body)
    assert answer.body == body[: len(answer.body)]


def replaced(after: int, by: bytes) -> Behaviour:
    """Another version takes its place while it is sent."""

    async def behave(answer: Answer) -> None:
        await cut(after, "none")(answer)
        answer.bucket.objects["k"] = by
        answer.reset()

    return behave


SCHEDULES = 100 if NIGHTLY else 8


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("seed", range(10 if NIGHTLY else 3))
async def test_random_schedules_of_faults(
    faulty: FaultyBucket, seed: int, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many schedules each: cut, stalled, truncated, lied about, replaced, at any 64 KiB boundary of 10 MB."""
    monkeypatch.setattr(parallel, "AdaptiveConcurrency", Eager)
    dice = random.Random(seed)
    old, new = (content(10 * 1024 * 1024, version) for version in (0, 1))
    settings = ParallelSettings(min_bytes=1000, connections=connections, memory_bytes=4_000_000)
    storage = await storage_of(faulty, settings, read_timeout=0.05)
    whole = 0
    for _ in range(SCHEDULES):
        faulty.objects["k"] = old
        faulty.script.clear()
        for _ in range(dice.randrange(6)):
            at = STEP * dice.randrange(1, 160) + dice.choice((-1, 0, 0, 1))
            kind = dice.choice(("reset", "reset", "close", "close", "stall", "longer", "elsewhere", "replace", "busy"))
            busy = error(503, "SlowDown")
            faulty.then(replaced(at, new) if kind == "replace" else busy if kind == "busy" else cut(at, kind))
        try:
            _, got, failure = await read(storage)
        except GatewayError:
            continue  # refused before the first byte: as visible as can be
        expected = new if got[:64] == new[:64] else old
        assert got == expected[: len(got)], "never a wrong byte"
        assert (failure is None) == (len(got) == len(expected)), "whole, or visibly not"
        whole += failure is None
    assert whole > 0.3 * SCHEDULES, "most bodies survive"
    await storage.close()


@pytest.mark.parametrize(("first", "later", "whole"), [(STEP, STEP, True), (1024, 1024, False), (STEP, 1024, False)])
async def test_a_body_that_hardly_gets_on_is_continued_only_as_far_as_the_budget_for_retries_goes(
    faulty: FaultyBucket, first: int, later: int, whole: bool
) -> None:
    faulty.objects["k"] = body = content(20 * STEP)
    storage = await storage_of(faulty, ParallelSettings(connections=1), max_attempts=1)
    faulty.then(cut(first, "close"))
    faulty.then(cut(later, "close"), times=100)
    status, got, failure = await read(storage)
    await storage.close()
    assert status == 200
    assert (got == body) == whole == (failure is None)
    assert body.startswith(got)
