"""What the README and the manual say is so, and what they link to exists."""

import argparse
import configparser
import json
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.cli.main import parser
from gateway.config.load import load
from gateway.config.mounts.settings import SECTIONS_OF_MOUNTS
from gateway.config.settings import SECTIONS
from gateway.ops.metrics import Metrics
from tests.bench import __main__ as bench
from tests.bench import report
from tests.support import settings_doc

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = sorted((DOCS / "pages").glob("*.md"))
TEXTS = {page: page.read_text() for page in [README, *PAGES]}
TEXT = "\n".join(TEXTS.values())
SETTINGS = {f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields}
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def between(start: str, end: str, page: Path) -> str:
    assert TEXTS[page].count(start) == 1
    return TEXTS[page].partition(start)[2].partition(end)[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", TEXTS[page])


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them alike."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    named = Counter(re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings)
    assert max(named.values()) == 1, f"a heading of {page.name} is there twice: its anchor would be numbered"
    return set(named)


def broken(page: Path, link: str) -> bool:
    if link.startswith("https://"):
        return False
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_the_page_of_settings_is_that_of_the_settings() -> None:
    listed = between(settings_doc.MARK, settings_doc.END_MARK, settings_doc.PAGE)
    assert listed == settings_doc.reference(), "run: python -m tests.support.settings_doc"


def test_the_page_of_settings_has_each_with_its_variable_and_help() -> None:
    listed = between(settings_doc.MARK, settings_doc.END_MARK, settings_doc.PAGE)
    rows = re.findall(r"^\| `([\w.]+)`<br>`(\w+)` \|.*\| (.*) \|$", listed, re.MULTILINE)
    assert rows == [
        (f"{section}.{name}", f"GATEWAY_{section}__{name}".upper(), field.description)
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    ]


def commands() -> list[str]:
    code = "\n".join(blocks("sh")) + "\n" + "\n".join(re.findall(r"`([^`\n]+)`", TEXT))
    return sorted(set(re.findall(r"^gateway (?!.*…)[a-z].*$", code, re.MULTILINE)))


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one(command: str) -> None:
    assert parser().parse_args(shlex.split(command, comments=True)[1:]).command


def test_the_commands_that_have_to_do_with_one_mount_are_named() -> None:
    listed = re.search(r"take `--mount NAME`: (.*?)\.\s", TEXTS[DOCS / "pages/mounts.md"], re.DOTALL)
    assert listed is not None
    named = set(re.findall(r"`([a-z ]+)`", listed[1]))
    also = {"check", "config"}  # they have to do with all mounts, if none is named
    assert {path for path, one in _parsers(parser()) if "--mount" in one.format_usage()} == {
        *(named - {"token"} | also),
        *(f"token {part}" for part in ("create", "inspect", "revoke")),
    }


def _parsers(one: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Those of all commands, by their names."""
    yield path, one
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _parsers(inner, f"{path} {name}".strip())


def test_there_are_commands_to_test() -> None:
    assert {"gateway serve", "gateway check", "gateway health", "gateway demo", "gateway url"} <= {
        " ".join(c.split()[:2]) for c in commands()
    }


def test_every_target_of_make_is_one() -> None:
    targets = set(re.findall(r"^([a-z-][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets = {target for line in targets for target in line.split()}
    named = set(re.findall(r"`make ([a-z-]+)`", TEXT)) | set(re.findall(r"^make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named >= {"run", "test", "docs", "bench"}
    assert named <= targets


def test_every_setting_that_it_names_exists() -> None:
    named = set(re.findall(rf"`((?:{'|'.join(SECTIONS)})\.\w+)", TEXT))
    assert named >= SETTINGS
    assert named <= SETTINGS


def test_every_variable_that_it_names_exists() -> None:
    variables = {f"GATEWAY_{setting.replace('.', '__')}".upper() for setting in SETTINGS}
    named = set(re.findall(r"GATEWAY_\w+__\w+", TEXT))
    of_mounts = {variable for variable in named if variable.startswith("GATEWAY_MOUNTS__")}
    assert named - of_mounts == variables
    for variable in of_mounts:
        _, _, section, key = variable.lower().split("__")
        assert section in SECTIONS_OF_MOUNTS
        assert f"{section}.{key}" in SETTINGS
    assert of_mounts


def test_every_setting_of_a_mount_that_it_names_exists() -> None:
    named = set(re.findall(r"\bmounts\.[a-z-]+\.(\w+\.\w+)", TEXT))
    assert named
    assert named <= {setting for setting in SETTINGS if setting.partition(".")[0] in SECTIONS_OF_MOUNTS}


def test_its_metrics_are_those_that_there_are() -> None:
    rendered = Metrics().render().decode()
    there_are = set(re.findall(r"^# TYPE (gateway_\w+)", rendered, re.MULTILINE))
    assert set(re.findall(r"gateway_[a-z_]+", TEXT)) == {name for name in there_are if not name.endswith("_created")}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(prose(page))
    assert len(links) == prose(page).count("](")
    assert [link for link in links if broken(page, link)] == []


def test_there_are_links_and_anchors_to_test() -> None:
    local = [link for page in TEXTS for link in LINK.findall(prose(page)) if not link.startswith("https://")]
    assert len(local) > 50
    assert sum("#" in link for link in local) > 10


@pytest.mark.parametrize(
    ("link", "is_broken"),
    [
        ("docs/pages/moving.md", False),
        ("docs/pages/moving.md#from-pypicloud", False),
        ("#clients", False),
        ("docs/pages/nowhere.md", True),
        ("docs/pages/moving.md#from-nowhere", True),
        ("#nowhere", True),
    ],
)
def test_a_broken_link_is_recognised(link: str, is_broken: bool) -> None:
    assert broken(README, link) is is_broken


def test_the_site_has_every_page_once_and_the_readme_leads_to_each() -> None:
    # Not through yaml.safe_load, which would refuse what MkDocs allows in this file (tags for its plug-ins).
    in_site = re.findall(r"^ *- ([\w-]+\.md)$", (DOCS / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(in_site) == [page.name for page in PAGES]
    linked = {link.partition("#")[0].removeprefix("docs/pages/") for link in LINK.findall(TEXTS[README])}
    assert {page.name for page in PAGES} - linked == {"index.md"}


def test_the_readme_is_a_front_door() -> None:
    assert TEXTS[README].count("\n") <= 150


def test_pictures_are_small() -> None:
    pictures = [path for path in (DOCS / "pages/img").iterdir() if path.suffix != ".svg"]
    assert pictures
    assert max(path.stat().st_size for path in pictures) < 120 * 1024


def test_blocks_can_be_pasted() -> None:
    for text in blocks("toml"):
        assert tomllib.loads(text)
    for text in blocks("ini"):
        assert _ini(text).sections()
    for text in blocks("json"):
        assert json.loads(text)
    assert blocks("toml")
    assert blocks("ini")


def _ini(text: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read_string(text)
    return read


@pytest.mark.parametrize("text", blocks("yaml"))
def test_settings_in_yaml_are_accepted(text: str, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch()
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("/run/secrets/cloudfront.pem", str(key)))
    settings = load(config_file=file, environ={}, cwd=tmp_path)
    given = yaml.safe_load(file.read_text())
    assert [mount["name"] for mount in given.pop("mounts", [])] == [mount.mount.name for mount in settings.mounts]
    for section, values in given.items():
        assert values.keys() <= getattr(settings, section).model_fields_set


def test_the_comparison_is_the_same_in_the_readme_and_on_its_page() -> None:
    marks = "<!-- comparison -->\n", "<!-- /comparison -->"
    assert between(*marks, README) == between(*marks, DOCS / "pages/comparison.md")


def test_each_tick_of_ours_names_a_test_that_exists() -> None:
    page = DOCS / "pages/comparison.md"
    compared = between("<!-- comparison -->\n", "<!-- /comparison -->", page)
    ticked = re.findall(r"^\| (\w[^|]*) \| ✓ \|", compared, re.MULTILINE)
    proofs = dict(
        re.findall(r"^\| (\w[^|]*) \| (`tests/[^|]*) \|", TEXTS[page].partition("## Evidence")[2], re.MULTILINE)
    )
    assert ticked
    assert proofs.keys() == set(ticked)
    for proof in proofs.values():
        for file, test in re.findall(r"`([\w/.]+)::(\w+)`", proof):
            assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), (
                f"no {test} in {file}"
            )


def test_the_modules_that_it_names_exist() -> None:
    named = set(re.findall(r"`((?:gateway|tests|deploy)/[\w/.]*)", TEXT))
    assert "gateway/pipeline.py" in named
    assert [name for name in sorted(named) if not (ROOT / name.partition("::")[0]).exists()] == []


def test_the_figures_are_those_of_a_run() -> None:
    rows = report.from_json(bench.RESULTS.read_text())
    assert between(bench.MARK, bench.END_MARK, bench.PAGE) == report.table(rows)
    assert bench.CHART.read_text() == report.chart(rows)
