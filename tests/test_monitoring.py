"""The dashboard and the alerts of deploy/, held against what a gateway exports. promtool runs the alerts' own tests."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import Gateway
from gateway.messages import RequestRecord
from gateway.ops.metrics import Metrics
from tests.conftest import StartGateway
from tests.publish.test_uploads import OPEN
from tests.stats.test_mount import CACHED, get
from tests.support.faults import FaultyBucket
from tests.support.publicindex import PublicIndex
from tests.test_manual import DOCS, anchors

DEPLOY = Path(__file__).parent.parent / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
OPERATIONS = DOCS / "pages" / "operations.md"
# Prometheus adds these labels to all that it scrapes.
OF_THE_TARGET = {"job", "instance"}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here (Debian's prometheus)")

Series = dict[str, set[str]]


async def everything_counted(gateway: Gateway) -> None:
    """What has no series before it has happened."""
    for target in ("/acme/", "/acme/acme-1.0.tar.gz", "/public-lib/"):
        await get(gateway, target)
    mount = gateway.metrics.of("default")
    mount.upstream_fault("SlowDown")
    mount.beacon_failed("read")
    gateway.metrics.auth_outcomes["people", "allowed"] += 1


@pytest.fixture
async def exported(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> Series:
    """The labels of each series of a gateway that has all there is, by its name."""
    faulty.objects = {"acme/acme-1.0.tar.gz": b"an sdist"}
    public = PublicIndex()
    public.projects = {"public-lib": {"public_lib-1.0.tar.gz": b"theirs"}}
    async with public.running():
        other = {"fallback.mode": "mirror", "fallback.base_url": public.url, "cache.dir": str(tmp_path / "cache")}
        (tmp_path / "all.zip").write_bytes(b"")
        other |= {"policy.min_age": "7d", "policy.advisories": f"{{source: {tmp_path / 'all.zip'}}}"}
        gateway = await start_gateway(faulty_settings | CACHED | OPEN | other)
        await everything_counted(gateway)
        families = [*text_string_to_metric_families(gateway.metrics.render().decode())]
        await gateway.stop()
    series: Series = {}
    for sample in (sample for family in families for sample in family.samples):
        series.setdefault(sample.name, set()).update(sample.labels)
    return series


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where each is, the expression, and the text that is shown with it."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield (
                panel["title"],
                target["expr"],
                target["legendFormat"].replace("{{", "{{ $labels.").replace("}}", " }}"),
            )
    for rule in RULES:
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """The series that it names, each with the labels that it matches."""
    found = re.findall(r"\b((?:gateway|process)_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))) for name, matchers in found]


def grouped(expression: str) -> set[str]:
    return {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}


async def test_they_use_series_and_labels_that_there_are(exported: Series) -> None:
    used = 0
    for where, expression, _ in expressions():
        there_are = set(OF_THE_TARGET)
        for name, matched in selectors(expression):
            assert name in exported, f"{where}: there is no {name}"
            assert matched <= exported[name] | OF_THE_TARGET, f"{where}: {name} has no {matched}"
            there_are |= exported[name]
            used += 1
        assert grouped(expression) <= there_are, f"{where}: {grouped(expression) - there_are}"
    assert used > 70


def test_an_alert_of_slow_answers_asks_where_a_bucket_ends() -> None:
    """Within one, Prometheus guesses: all answers could take half of what the alert says."""
    metrics = Metrics()
    metrics.observe(RequestRecord("id", "GET", "/", "c", "a", 100.0, "m", status=200, first_byte=100.0))
    ends = {float(end) for end in re.findall(r'seconds_bucket\{le="([\d.]+)"', metrics.render().decode())}
    [slow] = [rule["expr"] for rule in RULES if "histogram_quantile" in rule["expr"]]
    [asked] = re.findall(r"\)\)\) > ([\d.]+)", slow)
    assert float(asked) in ends


def test_what_they_show_beside_is_known_there() -> None:
    for where, expression, text in expressions():
        shown = set(re.findall(r"\$labels\.(\w+)", text))
        assert shown <= grouped(expression), f"{where}: {shown - grouped(expression)}"


async def test_the_dashboard_shows_all_there_is(exported: Series) -> None:
    shown = {
        name for panel in DASHBOARD["panels"] for one in panel.get("targets", ()) for name, _ in selectors(one["expr"])
    }
    hidden = {name for name in exported if name.startswith("gateway_")} - shown
    assert {name for name in hidden if not name.endswith(("_sum", "_count"))} == set()


async def test_every_metric_is_in_the_manual_with_its_labels(exported: Series) -> None:
    rows = re.findall(r"^\| `(gateway_\w+)(?:\{([\w,]+)\})?` \|", OPERATIONS.read_text(), re.MULTILINE)
    told = {name: set(labels.split(",")) - {""} for name, labels in rows}
    assert len(told) == len(rows)
    histograms = {name.removesuffix("_bucket") for name in exported if name.endswith("_bucket")}
    ours = {name: labels for name, labels in exported.items() if name.startswith("gateway_")}
    for histogram in histograms:
        labels = ours.pop(f"{histogram}_count")
        ours[histogram] = labels
        del ours[f"{histogram}_bucket"], ours[f"{histogram}_sum"]
    assert told == ours


def test_the_manual_tells_of_each_alert() -> None:
    rows = re.findall(r"^\| `(Gateway\w+)` \| (page|ticket) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]


def test_each_alert_says_what_to_do_and_where_that_is_explained() -> None:
    for rule in RULES:
        sentence, _, link = rule["annotations"]["runbook"].rpartition(": ")
        page, _, anchor = link.partition("#")
        assert page.startswith("docs/pages/"), rule["alert"]
        assert anchor in anchors(DOCS.parent / page), rule["alert"]
        assert len(sentence) > 40
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["for"]


def test_the_dashboard_s_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["description"] for panel in DASHBOARD["panels"] if panel["type"] != "row")


def promtool(*arguments: str | Path) -> None:
    assert PROMTOOL is not None
    found = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@needs_promtool
def test_promtool_accepts_the_alerts_and_they_fire_when_they_should() -> None:
    promtool("check", "rules", ALERTS)
    promtool("test", "rules", ALERTS.with_name("alerts.test.yml"))


@needs_promtool
def test_promtool_accepts_the_dashboard_s_expressions(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "5m", target["expr"])}
        for number, target in enumerate(one for panel in DASHBOARD["panels"] for one in panel.get("targets", ()))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_each_alert_is_seen_to_fire() -> None:
    text = ALERTS.with_name("alerts.test.yml").read_text()
    assert set(re.findall(r'alertname="(\w+)"', text)) == {rule["alert"] for rule in RULES}
