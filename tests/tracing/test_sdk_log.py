import logging

import pytest

from gateway.tracing import sdk_log


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A logger of the SDK, as in a new process."""
    root = logging.getLogger("opentelemetry")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "propagate", True)
    sdk_log.redirect()
    sdk_log.redirect()
    return logging.getLogger("opentelemetry.exporter.test")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "gateway.tracing"]


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("Failed to export %s batch code: %s, reason: %s", ("spans", 401, "Unauthorized"), None),
        ("reason: %s", (ConnectionError("http://user:password@host/"),), "reason: ConnectionError"),
        ("Transient error %s, retrying in %.2fs.", ("Service Unavailable", 1.5), None),
        ("Header format invalid! %s", ("api-key=secret",), "Header format invalid! …"),
        ("Unable to parse %(value)s", ({"value": "secret"},), "Unable to parse %(value)s"),
        ("as it is: 100 %", (), "as it is: 100 %"),
    ],
)
def test_only_words_and_numbers_are_shown(
    theirs: logging.Logger, caplog: pytest.LogCaptureFixture, message: str, args: tuple[object, ...], shown: str | None
) -> None:
    theirs.warning(message, *args)
    assert messages(caplog) == [shown if shown is not None else message % args]


def test_one_line_a_minute_is_enough(
    theirs: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("gateway.tracing.sdk_log.time.monotonic", lambda: now[0])
    for _ in range(5):
        theirs.error("the collector is down")
    theirs.info("nothing of interest")
    now[0] += 60
    theirs.error("the collector is still down")
    assert not logging.getLogger("opentelemetry").propagate  # or the root's handler would write all of them
    assert messages(caplog) == [
        "the collector is down",
        "the collector is still down (4 more messages were left out)",
    ]
