from collections.abc import Iterator

import pytest

from tests.conftest import StartGateway
from tests.support.collector import Collector


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """One to which spans come soon after they have ended."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with Collector().running() as running:
        yield running


@pytest.fixture
def start_gateway(collector: Collector, start_gateway: StartGateway) -> StartGateway:
    """Its gateways end before the collector does."""
    return start_gateway


@pytest.fixture
def traced(collector: Collector, faulty_settings: dict[str, str]) -> dict[str, str]:
    """Settings of a gateway in front of the faulty bucket that exports its traces there."""
    return faulty_settings | {"tracing.enabled": "true", "tracing.endpoint": collector.url}
