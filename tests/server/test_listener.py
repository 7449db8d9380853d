"""How many clients the system's limits allow."""

import resource
import sys

import pytest

from gateway.server.listener import connections_within


@pytest.mark.parametrize(
    ("descriptors", "clients"),
    [
        (resource.RLIM_INFINITY, sys.maxsize),
        (524_288, 262_080),
        (1024, 448),
        (256, 64),
        (100, 25),
        (1, 1),
    ],
)
def test_descriptors_are_left_for_the_process_itself(descriptors: int, clients: int) -> None:
    assert connections_within(descriptors) == clients
