"""Heads and bodies as they go over the wire."""

import socket

import pytest

from gateway.app import Gateway
from gateway.errors import GatewayError
from gateway.server.connections.admission import Admission
from gateway.server.connections.limits import Limits
from gateway.server.reply import Reply
from gateway.server.server import Listener, Server
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket
from tests.support.http import exchange


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])


async def test_a_connection_is_kept_as_its_version_has_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects["k"] = b"content"
    port = port_of(await start_gateway(faulty_settings))
    for target in ("/k", "/health", "/nope"):
        line = f"GET {target} HTTP/1.1\r\nHost: x\r\n"
        kept = await exchange(port, f"{line}\r\n{line}Connection: close\r\n\r\n".encode())
        assert kept.count(b"HTTP/1.1 ") == 2
        assert kept.count(b"\r\nConnection: close\r\n") == 1
        old = await exchange(port, f"GET {target} HTTP/1.0\r\n\r\n".encode())
        assert old.startswith(b"HTTP/1.0 ")
        assert b"Connection: " not in old
        both = f"GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET {target} HTTP/1.0\r\n\r\n"
        asked = await exchange(port, both.encode())
        assert (asked.count(b"HTTP/1.0 "), asked.count(b"Connection: keep-alive\r\n")) == (2, 1)


async def test_a_body_of_unknown_length_comes_in_chunks_or_until_the_end(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    port = port_of(await start_gateway(faulty_settings))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ncontent\r\n0\r\n\r\n"
    faulty.then(faults.raw(chunked), times=3)
    new = await exchange(port, b"GET /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in new
    assert new.endswith(b"\r\n\r\n7\r\ncontent\r\n0\r\n\r\n")
    old = await exchange(port, b"GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert old.endswith(b"\r\n\r\ncontent")
    assert b"chunked" not in old
    assert b"keep-alive" not in old
    head = await exchange(port, b"HEAD /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"chunked" not in head


async def test_the_buckets_headers_come_out_byte_for_byte(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    port = port_of(await start_gateway(faulty_settings))
    disposition = b"Content-Disposition: attachment; filename=\xd0\xba\xff.whl"
    faulty.then(faults.raw(b"HTTP/1.1 200 OK\r\n" + disposition + b"\r\nContent-Length: 0\r\n\r\n"))
    answer = await exchange(port, b"GET /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"\r\n" + disposition + b"\r\n" in answer


async def test_head_tells_the_length_and_sends_nothing(start_gateway: StartGateway) -> None:
    port = port_of(await start_gateway({}))
    get = await exchange(port, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = await exchange(port, b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    _, _, body = get.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    assert b"\r\nDate: " in head


async def served(reply: Reply) -> bytes:
    """What a client gets that is answered with it."""

    async def answer(_: object) -> Reply:
        return reply

    def refuse(_: object, __: GatewayError) -> Reply:
        return Reply(500, {}, b"", close=True)

    limits = Limits(5, 5, 5, 8190, 8190)
    sock = socket.create_server(("127.0.0.1", 0))
    listener = await Listener.open(Server(answer, refuse, limits, Admission(10, 10, lambda peer: False)), sock, None)
    data = await exchange(sock.getsockname()[1], b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await listener.drain(0)
    return data


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\rb"])
async def test_a_header_can_t_become_two(value: str) -> None:
    for reply in (Reply(200, {"X-Value": value}, b""), Reply(200, {}, b"", cookies=(value,))):
        data = await served(reply)
        assert b"Set-Cookie" not in data
        assert b"X-Value" not in data


async def test_each_cookie_is_a_header_of_its_own_and_no_reply_with_one_is_given_again() -> None:
    reply = Reply(200, {}, b"", fresh_for=1, cookies=("a=1; Path=/", "b=2"))
    assert reply.fresh_for == 0
    sent = await served(reply)
    assert b"\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n" in sent
