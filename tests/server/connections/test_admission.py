"""Who makes room for whom."""

from dataclasses import dataclass, field

from gateway.server.client_address import UNIX_SOCKET
from gateway.server.connections.admission import Admission


@dataclass(eq=False)
class Client:
    peer: str = "192.0.2.1"
    ended: list[str] = field(default_factory=list)

    def give_up(self) -> None:
        self.ended.append("given up")

    def finish(self) -> None:
        self.ended.append("finished")


def admission(most: int = 3, most_per_peer: int = 3) -> Admission:
    return Admission(most, most_per_peer, lambda peer: peer in ("10.0.0.1", UNIX_SOCKET))


async def test_the_longest_idle_makes_room() -> None:
    door = admission()
    first, second, third, fourth, fifth = (Client(f"192.0.2.{number}") for number in range(5))
    assert all(door.admit(client) for client in (first, second, third))
    door.busy(first)
    door.busy(second)
    door.idle(second)
    assert door.admit(fourth)
    assert third.ended == ["given up"], "the first is busy, and the second became idle later"
    assert door.admit(fifth)
    assert second.ended == ["given up"]
    assert len(door) == 3


async def test_nobody_makes_room_while_all_are_busy() -> None:
    door = admission()
    clients = [Client() for _ in range(3)]
    for client in clients:
        assert door.admit(client)
        door.busy(client)
    late = Client()
    assert door.stats() == {"open": 3, "max": 3, "refused_total": 0}
    assert not door.admit(late)
    assert door.stats() == {"open": 3, "max": 3, "refused_total": 1}
    assert [client.ended for client in clients] == [[], [], []]
    door.left(late)
    assert len(door) == 3, "one that was refused does not count when it leaves"
    door.left(clients[0])
    assert door.admit(late)


async def test_idle_again_is_idle_from_then_on() -> None:
    door = admission(2)
    first, second = Client(), Client()
    assert door.admit(first)
    assert door.admit(second)
    door.idle(first)
    assert door.admit(Client())
    assert (first.ended, second.ended) == ([], ["given up"])


async def test_one_that_has_been_given_up_is_never_asked_again() -> None:
    door = admission(1)
    first, second = Client(), Client()
    door.admit(first)
    assert door.admit(second)
    door.idle(first)
    door.busy(second)
    assert not door.admit(Client())
    assert first.ended == ["given up"]


async def test_one_peer_has_its_own_limit() -> None:
    door = admission(100, 2)
    busy, idle, other = Client(), Client(), Client("192.0.2.2")
    assert all(door.admit(client) for client in (other, busy, idle))
    door.busy(busy)
    again = Client()
    assert door.admit(again)
    assert (idle.ended, other.ended) == (["given up"], []), "its own make room, not another's"
    door.busy(again)
    assert not door.admit(Client())
    assert door.admit(Client("192.0.2.2"))
    door.left(busy)
    assert door.admit(Client())


async def test_proxies_and_unix_sockets_have_no_limit_of_their_own() -> None:
    door = admission(100, 2)
    for peer in ("10.0.0.1", UNIX_SOCKET):
        for _ in range(5):
            client = Client(peer)
            assert door.admit(client)
            door.busy(client)


async def test_a_network_of_ipv6_counts_as_one_peer() -> None:
    door = admission(100, 2)
    for peer, admitted in [
        ("2001:db8::1", True),
        ("2001:db8::ffff:2", True),
        ("2001:db8::3%eth0", False),
        ("2001:db8:0:1::1", True),
    ]:
        client = Client(peer)
        assert door.admit(client) is admitted
        door.busy(client)


async def test_it_tells_when_none_is_left() -> None:
    door = admission()
    assert door.none_left.is_set()
    first, second = Client(), Client()
    door.admit(first)
    door.admit(second)
    door.left(first)
    assert not door.none_left.is_set()
    door.left(second)
    door.left(second)
    assert door.none_left.is_set()
    assert len(door) == 0
