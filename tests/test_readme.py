"""What the README says is so."""

import re
import shlex
from pathlib import Path

import pytest

from gateway.cli import parser
from gateway.config import SECTIONS
from gateway.ops.metrics import Metrics
from tests.bench import report
from tests.support import settings_doc

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
SETTINGS = {f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields}


def between(start: str, end: str) -> str:
    return TEXT.partition(start)[2].partition(end)[0]


def test_the_table_of_settings_is_that_of_the_settings() -> None:
    assert between("<!-- settings -->\n", "<!-- /settings -->") == settings_doc.table()


def commands() -> list[str]:
    code = (
        "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)) + "\n" + "\n".join(re.findall(r"`([^`\n]+)`", TEXT))
    )
    return sorted(set(re.findall(r"^gateway (?!.*…)[a-z].*$", code, re.MULTILINE)))


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one(command: str) -> None:
    assert parser().parse_args(shlex.split(command, comments=True)[1:]).command


def test_there_are_commands_to_test() -> None:
    assert {"gateway serve", "gateway check", "gateway health", "gateway demo"} <= {
        " ".join(c.split()[:2]) for c in commands()
    }


def test_every_setting_that_it_names_exists() -> None:
    named = set(re.findall(rf"`((?:{'|'.join(SECTIONS)})\.\w+)", TEXT))
    assert named >= SETTINGS
    assert named <= SETTINGS


def test_every_variable_that_it_names_exists() -> None:
    variables = {f"GATEWAY_{setting.replace('.', '__')}".upper() for setting in SETTINGS}
    assert set(re.findall(r"GATEWAY_\w+__\w+", TEXT)) <= variables


def test_its_metrics_are_those_that_there_are() -> None:
    rendered = Metrics(lambda: None).render().decode()
    there_are = set(re.findall(r"^# TYPE (gateway_\w+)", rendered, re.MULTILINE))
    assert set(re.findall(r"gateway_[a-z_]+", TEXT)) == {name for name in there_are if not name.endswith("_created")}


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    headings = {f"#{heading.lower().replace(' ', '-')}" for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)}
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if link not in headings and not (ROOT / link).exists()] == []


def test_the_figures_are_those_of_a_run() -> None:
    rows = report.from_json((ROOT / "tests/bench/results.json").read_text())
    assert between("<!-- bench -->\n", "<!-- /bench -->") == report.table(rows)
    assert (ROOT / "tests/bench/chart.svg").read_text() == report.chart(rows)
