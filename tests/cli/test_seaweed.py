"""The S3 server for trying things: nothing of it may outlive its context."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo.seaweed import Seaweed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_starting_it_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def interrupted(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        process = start(command, **options)
        started.append(process)
        signal.raise_signal(number)  # after the fork, before anyone holds the process
        return process

    monkeypatch.setattr("gateway.cli.demo.seaweed.subprocess.Popen", interrupted)
    # Whoever runs the tests in the background may have had SIGINT ignored.
    previous = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt), Seaweed():
            pass
        assert [process.poll() is not None for process in started] == [True]
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        for process in started:
            process.kill()
            process.wait()


def listening(pid: int) -> Iterator[tuple[str, socket.AddressFamily, Any]]:
    """Names, families and addresses of a process's sockets that take connections (proc(5))."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            inodes.add(os.readlink(path))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            port = int(fields[1].partition(":")[2], 16)
            yield f"port {port}", socket.AF_INET, ("127.0.0.1", port)
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "00010000" and len(fields) > 7 and f"socket:[{fields[6]}]" in inodes:
            yield fields[7], socket.AF_UNIX, fields[7]


def said(family: socket.AddressFamily, address: Any, request: bytes, *, tls: bool = False) -> bytes:
    """The start of the answer; nothing where there is none."""
    with socket.socket(family) as plain, ExitStack() as stack, suppress(OSError):
        plain.settimeout(10)
        plain.connect(address)
        client = plain
        if tls:
            client = stack.enter_context(ssl._create_unverified_context().wrap_socket(plain))
        client.sendall(request)
        return client.recv(1000)
    return b""


FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="planted.txt"\r\n\r\nplanted\r\n--x--\r\n'
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # RFC 9113, 3.4: preface, SETTINGS


def test_nothing_of_it_takes_a_request_that_is_not_signed(seaweed: Seaweed) -> None:
    assert seaweed._process is not None
    seaweed.client().create_bucket(Bucket="closed")
    sockets = list(listening(seaweed._process.pid))
    assert len(sockets) >= 8
    requests = [
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(FORM)}\r\n\r\n".encode()
        + FORM
        for method in ("PUT", "POST")
        for path in ("/buckets/closed/planted.txt", "/closed/planted.txt", "/closed", "/dir/assign")
    ]
    for name, family, address in sockets:
        for request in requests:
            for tls in (False, True):
                answer = said(family, address, request, tls=tls)
                assert answer == b"" or answer[8:10] == b" 4", (name, request[:40], answer)
                if b"dir/assign" in request:
                    assert b'"fid"' not in answer, name
        for tls in (False, True):
            answer = said(family, address, HTTP_2, tls=tls)
            assert answer[3:4] != b"\x04", f"{name} speaks gRPC with strangers"
    assert "Contents" not in seaweed.client().list_objects_v2(Bucket="closed")


def test_a_bucket_takes_one_volume(seaweed: Seaweed) -> None:
    """Seven, its default, would leave a disk of 50 GB room for a hundred buckets: then each upload is a 500."""
    assert seaweed._directory is not None
    client = seaweed.client()
    client.create_bucket(Bucket="small")
    client.put_object(Bucket="small", Key="key", Body=b"x")
    assert len(list(seaweed._directory.glob("small_*.dat"))) == 1
