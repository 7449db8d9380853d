"""The audit as objects in the storage: every line once, whatever the storage does."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from gateway.errors import PreconditionFailedError, UpstreamError
from gateway.ops import audit_objects
from gateway.ops.audit_objects import AuditObjects
from gateway.storage.base import Storage
from tests.access.test_gate import basic, status
from tests.conftest import StartGateway
from tests.support.eventually import eventually

MOMENT = 1_800_000_000.0


class Bucket:
    """Its first answers are `faults`: None takes the object and loses the answer."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.objects: dict[str, bytes] = {}
        self.tries: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def put(self, key: str, chunks: AsyncIterable[bytes], *, only_new: bool, content_type: str) -> str:
        assert content_type == "application/jsonl"
        self.tries.append(key)
        await self.open.wait()
        content = b"".join([chunk async for chunk in chunks])
        fault = self.faults.pop(0) if self.faults else ""
        if isinstance(fault, Exception):
            raise fault
        if key in self.objects:
            assert only_new
            raise PreconditionFailedError("it exists")
        self.objects[key] = content
        if fault is None:
            raise UpstreamError("the connection broke")
        return '"etag"'

    def lines(self) -> list[str]:
        return [line for content in self.objects.values() for line in content.decode().splitlines()]


class Audit(AuditObjects):
    def __init__(self, bucket: Bucket, seconds: float = 3600) -> None:
        self.lost: list[int] = []
        super().__init__(cast(Storage, bucket), seconds=seconds, dropped=self.lost.append, clock=lambda: MOMENT)


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
async def test_lines_are_one_object_named_by_its_time() -> None:
    bucket = Bucket()
    audit = Audit(bucket)
    assert await audit.flush()
    assert bucket.tries == []
    audit.write("one\n")
    audit.write("two\n")
    assert await audit.flush()
    (key,) = bucket.objects
    assert key.startswith(".gateway/audit/2027-01-15/08-00-00-")
    assert key.endswith(".jsonl")
    assert bucket.objects[key] == b"one\ntwo\n"


async def test_lines_that_come_while_an_object_is_written_wait_for_the_next_interval() -> None:
    """With clients at all times, lines would come with each object that is written: tiny ones, without an end."""
    bucket = Bucket()
    audit = Audit(bucket)
    audit.write("one\n")
    bucket.open.clear()
    flushing = asyncio.ensure_future(audit.flush())
    await eventually(lambda: len(bucket.tries) == 1)
    audit.write("two\n")
    bucket.open.set()
    assert await flushing
    assert [*bucket.objects.values()] == [b"one\n"]
    await audit.close()
    assert [*bucket.objects.values()] == [b"one\n", b"two\n"]


async def test_lines_that_come_while_the_first_of_several_objects_is_written_add_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_objects, "_OBJECT_BYTES", 8)
    bucket = Bucket()
    audit = Audit(bucket)
    for number in range(3):
        audit.write(f"{number}23\n")
    bucket.open.clear()
    flushing = asyncio.ensure_future(audit.flush())
    await eventually(lambda: len(bucket.tries) == 1)
    for number in range(3, 6):
        audit.write(f"{number}23\n")
    bucket.open.set()
    assert await flushing
    assert [*bucket.objects.values()] == [b"023\n123\n", b"223\n323\n"]
    await audit.close()


async def test_what_is_not_taken_is_tried_again_and_not_twice_in_the_storage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bucket = Bucket(UpstreamError("down"), None)
    audit = Audit(bucket)
    audit.write("one\n")
    assert not await audit.flush()
    assert "it is tried again: down" in caplog.text
    audit.write("two\n")
    assert not await audit.flush(), "the answer was lost"
    assert await audit.flush()
    assert bucket.lines() == ["one", "two"]
    assert len(set(bucket.tries)) == 2
    await audit.close()
    assert audit.lost == []


async def test_what_waits_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_objects, "_MAX_WAITING_BYTES", 10)
    bucket = Bucket(UpstreamError("down"))
    audit = Audit(bucket)
    for _ in range(4):
        audit.write("1234\n")
    assert audit.lost == [1, 1]
    assert not await audit.flush()
    audit.write("1234\n")
    assert audit.lost == [1, 1, 1], "what is being written waits too"
    assert await audit.flush()
    audit.write("1234\n")
    await audit.flush()
    assert bucket.lines() == ["1234"] * 3


async def test_what_nobody_known_does_never_crowds_out_what_users_do(
    monkeypatch: pytest.MonkeyPatch, start_gateway: StartGateway, tmp_path: Path
) -> None:
    monkeypatch.setattr(audit_objects, "_MAX_WAITING_BYTES", 8_000)
    (tmp_path / "packages" / "acme").mkdir(parents=True)
    settings = {
        "storage.dir": str(tmp_path / "packages"),
        "access.authenticators": "tests.support.people:People",
        "log.audit_objects": "true",
        "log.audit_interval": "3600",
    }
    gateway = await start_gateway(settings)
    for number in range(30):
        assert await status(gateway, f"/acme/{number}") == 401
    for number in range(5):
        assert await status(gateway, f"/acme/{number}", basic("alice")) == 404
    await gateway.stop()
    [file] = (tmp_path / "packages" / ".gateway" / "audit").glob("*/*.jsonl")
    users = [json.loads(line)["user"] for line in file.read_text().splitlines()]
    assert users.count("alice") == 5
    assert 0 < users.count("") < 30


async def test_much_is_written_at_once_and_in_several_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_objects, "_OBJECT_BYTES", 10)
    bucket = Bucket()
    audit = Audit(bucket)
    audit.start()
    for number in range(5):
        audit.write(f"{number}234\n")
    await eventually(lambda: len(bucket.lines()) == 5)
    assert [len(content) for content in bucket.objects.values()] == [10, 10, 5]
    await audit.close()


async def test_it_writes_again_and_again_also_after_a_failure() -> None:
    bucket = Bucket(UpstreamError("down"), ZeroDivisionError())
    audit = Audit(bucket, seconds=0.01)
    audit.start()
    audit.write("one\n")
    await eventually(lambda: bucket.lines() == ["one"])
    audit.write("two\n")
    await eventually(lambda: bucket.lines() == ["one", "two"])
    await audit.close()


@pytest.mark.parametrize("fault", [UpstreamError("down"), ZeroDivisionError()])
async def test_a_storage_that_is_down_is_not_asked_for_each_line(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(audit_objects, "_OBJECT_BYTES", 1)
    bucket = Bucket(*[fault] * 100)
    audit = Audit(bucket)
    audit.start()
    for _ in range(20):
        audit.write("line\n")
        await asyncio.sleep(0)
    await eventually(lambda: len(bucket.tries) == 1)
    for _ in range(20):
        audit.write("line\n")
        await asyncio.sleep(0)
    assert len(bucket.tries) == 1
    bucket.faults.clear()
    await audit.close()
    assert len(bucket.lines()) == 40


async def test_what_waits_at_the_end_is_written_or_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket()
    audit = Audit(bucket)
    audit.start()
    bucket.open.clear()
    audit.write("one\n")
    flushing = asyncio.ensure_future(audit.flush())
    await eventually(lambda: bool(bucket.tries))
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    audit.write("two\n")
    monkeypatch.setattr(audit_objects, "_CLOSE_SECONDS", 0.02)
    with caplog.at_level(logging.ERROR):
        await audit.close()
    assert audit.lost == [2]
    assert "are lost: 2" in caplog.text
    bucket.open.set()
    await audit.close()
    assert bucket.lines() == ["one", "two"]


async def test_a_bug_of_the_storage_keeps_no_gateway_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    audit = Audit(Bucket(ZeroDivisionError()))
    audit.write("one\n")
    await audit.close()
    assert audit.lost == [1]
    assert "this is a bug" in caplog.text


async def test_decisions_are_kept_and_nobody_is_served_them(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "acme-1.0.tar.gz").write_bytes(b"x")
    settings = {
        "storage.dir": str(tmp_path),
        "access.authenticators": "tests.support.people:People",
        "access.admins": "alice",
        "log.audit": "false",
        "log.audit_objects": "true",
    }
    gateway = await start_gateway(settings)
    assert [await status(gateway, "/acme/", basic(name)) for name in ("alice", "nobody")] == [200, 401]
    assert await status(gateway, "/acme/") == 401
    await gateway.stop()
    (file,) = (tmp_path / ".gateway" / "audit").glob("*/*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["user"], line["allowed"], line["status"], line["log"]) for line in lines] == [
        ("alice", "yes", 200, "audit"),
        ("", "no", 401, "audit"),
        ("", "no", 401, "audit"),
    ]
    gateway = await start_gateway(settings)
    target = "/" + str(file.relative_to(tmp_path))
    async with aiohttp.request("GET", gateway.url + target, headers=basic("alice")) as answer:
        assert answer.status == 404
    async with aiohttp.request("GET", gateway.url + "/", headers=basic("alice")) as answer:
        assert "audit" not in await answer.text()


async def test_it_waits_again_after_it_has_written_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_objects, "_OBJECT_BYTES", 10)
    bucket = Bucket()
    audit = Audit(bucket)
    audit.start()
    audit.write("1234567890\n")
    await eventually(lambda: len(bucket.objects) == 1)
    audit.write("1\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bucket.objects) == 1, "the rest of the interval's lines come together"
    await audit.close()
    assert len(bucket.objects) == 2


async def test_lines_about_nobody_leave_half_of_the_room_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_objects, "_MAX_WAITING_BYTES", 31)
    audit = Audit(bucket := Bucket())
    for line in ("12345\n", "12345\n", "123\n", "12\n"):
        audit.write(line, anonymous=True)
    assert audit.lost == [1], "15 bytes are half"
    for _ in range(4):
        audit.write("1234\n")
    assert audit.lost == [1, 1]
    assert await audit.flush()
    assert bucket.lines() == ["12345"] * 2 + ["12"] + ["1234"] * 3


async def test_a_bug_is_told_and_waits_like_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    bucket = Bucket(*[ZeroDivisionError()] * 50)
    audit = Audit(bucket, seconds=0.02)
    audit.start()
    audit.write("one\n")
    await eventually(lambda: len(bucket.tries) == 2)
    assert {record.getMessage() for record in caplog.records} == {"the audit can't be stored: this is a bug"}
    bucket.faults.clear()
    await audit.close()
    assert bucket.lines() == ["one"]
