"""`gateway status`, in a directory."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.index.simple.pages import File, Project, project_html
from gateway.index.simple.static_page import project_of
from tests.cli.life_cycle.test_run import Captured, folder, run

__all__ = ["folder"]
pytestmark = pytest.mark.usefixtures("logging_stays")
OBEYED = ("--set", "publish.beacon=true")


def said(folder: Path) -> Any:
    return json.loads((folder.parent / ".gateway" / "status.json").read_bytes())["projects"]


def test_it_is_set_told_and_taken_back(folder: Path, capsys: Captured) -> None:
    assert run("status", "Acme.Web") == 0
    assert capsys.readouterr() == ("Project acme-web is active\n", "")
    assert run("status", "Acme.Web", "archived", "--reason", " use\nacme-site ", *OBEYED) == 0
    assert capsys.readouterr() == ("Project acme-web is archived: use acme-site\nGateways see it now\n", "")
    assert said(folder) == {"acme-web": {"status": "archived", "reason": "use acme-site"}}
    assert b'"acme-web"' in (folder.parent / ".gateway" / "epoch").read_bytes()
    assert run("status", "acme-web") == 0
    assert capsys.readouterr().out == "Project acme-web is archived: use acme-site\n"
    assert run("status", "other", "quarantined", *OBEYED) == 0
    assert capsys.readouterr().err == "There is no file of other here: is the name right?\n"
    assert run("status", "acme-web", "active", *OBEYED) == 0
    assert said(folder) == {"other": {"status": "quarantined"}}


def test_whoever_has_no_gateway_obey_it_is_told(folder: Path, capsys: Captured) -> None:
    assert run("status", "acme-web", "deprecated") == 0
    out = capsys.readouterr().out
    assert "POST /-/refresh?project=acme-web" in out
    assert "Gateways obey it where publish.status is set" in out


@pytest.mark.parametrize("mode", ["auto", "static"])
def test_the_stored_page_says_it(folder: Path, mode: str) -> None:
    page = folder / "index.html"
    stored = project_html(Project("acme-web", (), (File("x-1.0.tar.gz", "x"),))).decode()
    page.write_text(stored)
    assert run("status", "acme-web", "archived", "--reason", "<b>", "--set", f"index.mode={mode}") == 0
    found = project_of("acme-web", page.read_text())
    assert (found.status, found.status_reason) == ("archived", "<b>")
    assert run("status", "acme-web", "active", "--set", f"index.mode={mode}") == 0
    assert page.read_text() == stored


def test_it_is_set_though_the_page_can_t_be_changed(folder: Path, capsys: Captured) -> None:
    (folder / "index.html").write_bytes(b"\xff")
    assert run("status", "acme-web", "quarantined", *OBEYED) == 1
    captured = capsys.readouterr()
    assert captured.out == "Project acme-web is quarantined\nGateways see it now\n"
    assert "index.html can't be changed" in captured.err
    assert said(folder) == {"acme-web": {"status": "quarantined"}}


def test_a_document_that_can_t_be_understood_is_not_replaced(folder: Path, capsys: Captured) -> None:
    document = folder.parent / ".gateway" / "status.json"
    document.parent.mkdir()
    document.write_text("{")
    for arguments in (("acme-web",), ("acme-web", "archived")):
        assert run("status", *arguments) == 1
        assert "status.json can't be understood: not JSON. Repair or remove it" in capsys.readouterr().err
    assert document.read_text() == "{"


def test_what_is_known_to_a_later_version_stays(folder: Path, capsys: Captured) -> None:
    document = folder.parent / ".gateway" / "status.json"
    document.parent.mkdir()
    document.write_text('{"format": 1, "projects": {"other": {"status": "frozen"}}}')
    assert run("status", "acme-web", "archived") == 0
    assert said(folder)["other"] == {"status": "frozen"}


@pytest.mark.parametrize(
    "arguments",
    [("acme-web", "frozen"), ("-", "archived"), ("a/b",)],
    ids=str,
)
def test_a_command_line_that_means_nothing(folder: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("status", *arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("arguments", [("acme-web",), ("acme-web", "active")], ids=str)
def test_a_reason_needs_something_that_it_is_for(folder: Path, capsys: Captured, arguments: tuple[str, ...]) -> None:
    assert run("status", *arguments, "--reason", "x") == 2
    assert "--reason needs one of" in capsys.readouterr().err
