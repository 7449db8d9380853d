import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.ops import output as outputs
from gateway.ops.output import Output
from gateway.ops.shared.lock import shared_lock

PATIENCE_SECONDS = 20
LINE = "x" * 99 + "\n"


class Pipe:
    """A pipe with an Output at its end."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self.reader, self.writer = os.fdopen(reader, "rb", 0), os.fdopen(writer, "wb", 0)
        self.output = Output(writer)
        self.dropped = 0
        self.output.on_drop(self.drop)

    def drop(self, lines: int) -> None:
        self.dropped += lines

    def read(self) -> bytes:
        """All that is written until the Output has nothing left."""
        found: list[bytes] = []

        def collect() -> None:
            while chunk := self.reader.read(65536):
                found.append(chunk)

        collecting = threading.Thread(target=collect)
        collecting.start()
        self.output.flush(PATIENCE_SECONDS)
        self.writer.close()
        collecting.join()
        return b"".join(found)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.reader.close()
    pipe.writer.close()


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    lines = [f"{number}\n" for number in range(5000)]
    for line in lines:
        pipe.output.write(line)
    assert pipe.read().decode() == "".join(lines)
    assert pipe.dropped == 0


def test_no_more_than_a_pipe_takes_at_once_is_written_at_once(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no line of another process comes between."""
    sizes: list[int] = []
    write = os.write

    def noted(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", noted)
    for _ in range(100):
        pipe.output.write(LINE)
    assert len(pipe.read()) == 100 * len(LINE)
    assert max(sizes) <= 4096


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_the_rest_is_counted(pipe: Pipe) -> None:
    count = 30_000  # 3 MB
    for _ in range(count):
        pipe.output.write(LINE)
    assert 0 < pipe.dropped < count
    kept = pipe.read()
    assert kept == LINE.encode() * (count - pipe.dropped), "what was taken comes whole when somebody reads again"
    assert len(kept) <= 1024 * 1024 + 65536 + 4096


def test_a_reader_that_is_gone_is_counted(pipe: Pipe) -> None:
    pipe.reader.close()
    for _ in range(7):
        pipe.output.write(LINE)
    pipe.output.flush(PATIENCE_SECONDS)
    assert pipe.dropped == 7


def test_a_full_disk_is_counted_and_used_again_when_there_is_room() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    output = Output(descriptor)
    output.write(LINE * 3)
    output.flush(PATIENCE_SECONDS)
    dropped: list[int] = []
    output.on_drop(dropped.append)
    assert dropped == [3], "also what was dropped before anybody counted"
    reader, writer = os.pipe()
    os.dup2(writer, descriptor)
    output.write("there is room\n")
    output.flush(PATIENCE_SECONDS)
    assert os.read(reader, 100) == b"there is room\n"
    for number in (descriptor, reader, writer):
        os.close(number)


def test_a_line_that_was_cut_ends_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    results: list[Callable[[bytes], int]] = []
    write = os.write

    def scripted(descriptor: int, data: bytes) -> int:
        return results.pop(0)(data) if results else write(descriptor, data)

    def full(data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", scripted)
    with path.open("wb") as file:
        output = Output(file.fileno())
        dropped: list[int] = []
        output.on_drop(dropped.append)
        results += [lambda data: write(file.fileno(), data[:4]), full]
        for line in ("first\n", "second\n"):
            output.write(line)
            output.flush(PATIENCE_SECONDS)
    assert path.read_text() == "firs\nsecond\n"
    assert sum(dropped) == 1


def test_a_descriptor_that_another_process_has_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer.fileno(), False)
    for _ in range(2000):  # three times what the pipe takes
        pipe.output.write(LINE)
    assert pipe.read() == LINE.encode() * 2000


def test_a_child_process_writes_its_own_lines_only(pipe: Pipe) -> None:
    pipe.output.write("parent\n")
    pipe.output.pause()
    child = os.fork()
    if not child:
        pipe.output.begin_anew()
        pipe.output.write("child\n")
        pipe.output.flush(PATIENCE_SECONDS)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    pipe.output.write("parent again\n")
    assert pipe.read() == b"parent\nchild\nparent again\n"


def test_the_long_lines_of_one_process_are_not_mixed_with_those_of_another(pipe: Pipe) -> None:
    """As clients with long paths would have it while the pipe is read slowly."""
    pipe.output.share(shared_lock())
    fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    child = os.fork()
    if child == 0:
        pipe.output.begin_anew()
        for _ in range(200):
            pipe.output.write(LINE)
        pipe.output.flush(PATIENCE_SECONDS)
        os._exit(0)
    long = "y" * 19_999 + "\n"
    for _ in range(40):
        pipe.output.write(long)
    lines = pipe.read().decode().splitlines(keepends=True)
    assert os.waitpid(child, 0)[1] == 0
    assert (lines.count(LINE), lines.count(long), len(lines)) == (200, 40, 240)
    assert pipe.dropped == 0


def test_processes_of_which_each_waits_for_an_output_of_the_other_lose_no_line(pipe: Pipe) -> None:
    """The system takes that for a deadlock: it does not know that the threads that wait are not those that write."""
    other, lock = Pipe(), shared_lock()
    for one in (pipe, other):
        one.output.share(lock)
    child = os.fork()
    if child == 0:
        for mine in (pipe, other):
            mine.output.begin_anew()
        with suppress(AssertionError):
            _fill(other)
            _until_full(pipe)
            pipe.output.write("child\n")
            for mine in (pipe, other):
                mine.output.flush(PATIENCE_SECONDS)
        os._exit(0)
    _fill(pipe)
    _until(lambda: any("->" in lock and f" {child} " in lock for lock in Path("/proc/locks").read_text().splitlines()))
    other.output.write("parent\n")
    other.output.flush(0.1)  # it has tried to write
    with ThreadPoolExecutor() as pool:
        found = [*pool.map(Pipe.read, (pipe, other))]
    assert os.waitpid(child, 0)[1] == 0
    assert [content.lstrip(b"x") for content in found] == [b"\nchild\n", b"\nparent\n"]
    other.reader.close()


def _fill(pipe: Pipe) -> None:
    """Writes more than it takes."""
    pipe.output.write("x" * 200_000 + "\n")
    _until_full(pipe)


def _until_full(pipe: Pipe) -> None:
    full = select.poll()
    full.register(pipe.writer, select.POLLOUT)
    _until(lambda: not full.poll(0))


def _until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_one_that_could_not_be_paused_goes_on(pipe: Pipe) -> None:
    """It was blocked when the process forked, twice."""
    lines = b"".join([LINE.encode()] * 1000)
    pipe.output.write(lines.decode())
    pipe.output.pause()
    pipe.output.pause()
    pipe.output.write("after\n")
    assert pipe.read() == lines + b"after\n"
    assert pipe.dropped == 0


def test_a_paused_output_has_no_thread() -> None:
    outputs.STDERR.write("")
    assert "gateway-output-2" in [thread.name for thread in threading.enumerate()]
    outputs.STDERR.pause()
    assert "gateway-output-2" not in [thread.name for thread in threading.enumerate()]


def test_where_no_thread_is_to_be_had_lines_are_dropped(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pipe.output.write(LINE)
    assert pipe.dropped == 1
    pipe.output.write("later\n")
    assert pipe.read() == b"later\n"
