"""Two gateways in front of one bucket of SeaweedFS: what is published through one is seen through the other at once."""

import os
import signal
import statistics
import time
import urllib.error
import urllib.request

import pytest

from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.uploads import FORM, fields, form, wheel
from tests.support.workers import children, eventually, free_port

# How often one publishes and the other looks: more often to measure.
ROUNDS = int(os.environ.get("BEACON_ROUNDS", "1"))
_DEADLINE_SECONDS = 10.0
# Without the beacon, they would see each other's files in an hour.
SETTINGS = {
    "publish.enabled": "true",
    "publish.allow_anonymous": "true",
    "index.refresh": "3600",
    "index.layout": "project",
    "log.access": "false",
}


def publish(url: str, version: str) -> str:
    """The name of the file."""
    name, content = wheel("acme_web", version)
    body = form(name, content, fields(name, content))
    with urllib.request.urlopen(urllib.request.Request(url, body, FORM), timeout=20) as answer:
        assert answer.status == 200
    return name


def page(url: str) -> str:
    try:
        with urllib.request.urlopen(f"{url}/simple/acme-web/", timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return ""


def seconds_until_seen(url: str, text: str) -> float:
    """From now until all of its workers show it: eight requests in a row, each on a connection of its own."""
    started, seen = time.monotonic(), 0
    while seen < 8:
        assert time.monotonic() - started < _DEADLINE_SECONDS, page(url)
        seen = seen + 1 if text in page(url) else 0
        time.sleep(0.01)
    return time.monotonic() - started


def test_each_sees_at_once_what_the_other_has_published(start_process: StartProcess, bucket: Bucket) -> None:
    """One of them has two workers, of which one is killed in the end."""
    one = start_process(bucket.settings() | SETTINGS)
    workers = {"server.workers": "2", "server.port": str(free_port())}
    two = start_process(bucket.settings() | SETTINGS | workers)
    urls = [gateway.wait_until_it_listens() for gateway in (one, two)]
    eventually(lambda: two.log.read_text().count(", listening on ") == 2, "two workers do not listen", two)
    assert [page(url) for url in urls] == ["", ""]
    took: list[float] = []
    for _ in range(ROUNDS):
        for here, there in (urls, urls[::-1]):
            name = publish(here, f"1.{len(took)}")
            assert name in page(here)
            took.append(seconds_until_seen(there, f"{name}#sha256="))
    print(f"seen after {statistics.median(took):.2f} s, at most {max(took):.2f} s, of {len(took)}")
    for url in urls:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/.gateway/epoch")
    os.kill(children(two.process.pid)[0], signal.SIGKILL)
    seconds_until_seen(urls[1], publish(urls[0], "2.0"))
