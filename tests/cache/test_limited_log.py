import logging

import pytest

from gateway.cache.limited_log import LimitedLog


def test_each_kind_of_message_is_written_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    log = LimitedLog(logging.getLogger("gateway.cache"), lambda: now)
    with caplog.at_level(logging.INFO, "gateway.cache"):
        for number in range(5):
            log.write(logging.WARNING, "serving %d", number)
        log.write(logging.INFO, "another kind")
        now += 10.0
        log.write(logging.WARNING, "serving %d", 5)
        now += 10.0
        log.write(logging.WARNING, "serving %d", 6)
    assert caplog.messages == ["serving 0", "another kind", "serving 5 (4 more of these were left out)", "serving 6"]
