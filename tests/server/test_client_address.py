from ipaddress import ip_network

import pytest

from gateway.server.client_address import UNIX_SOCKET, ClientAddress

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("::ffff:172.16.0.0/112")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "caller"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, <script>"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("fe80::1%eth0", ["2001:db8::1"], "fe80::1%eth0"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9"),
        ("::ffff:192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("172.16.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:172.16.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("172.17.0.1", ["203.0.113.9"], "172.17.0.1"),
        (UNIX_SOCKET, ["203.0.113.9"], "203.0.113.9"),
        (UNIX_SOCKET, [], UNIX_SOCKET),
    ],
)
def test_forwarded_for_is_believed_as_far_as_trusted_proxies_vouch(
    peer: str, forwarded_for: list[str], caller: str
) -> None:
    assert ClientAddress(TRUSTED).of(peer, forwarded_for) == caller


def test_nobody_is_trusted_by_default() -> None:
    assert ClientAddress([]).of("127.0.0.1", ["203.0.113.9"]) == "127.0.0.1"


def test_a_peer_is_believed_as_an_ipv6_socket_shows_it() -> None:
    caller = ClientAddress(TRUSTED)
    assert caller.believes("::ffff:10.0.0.1")
    assert not caller.believes("::ffff:192.0.2.1")
