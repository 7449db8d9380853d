"""What pages for people offer to those who look at them."""

from typing import Any, cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.index.browse.actions import NO_ACTIONS, Actions, PermittedActions
from gateway.index.browse.pages import ProjectPages
from gateway.index.browse.readme import About
from gateway.index.resources import Resources
from gateway.index.simple.pages import File, Project
from gateway.principal import ANONYMOUS, Principal, Right
from gateway.rights.patterns import ProjectPattern
from gateway.rights.policy import Listing, Policy, Rule
from gateway.rights.subjects import Subject

RESOURCES = Resources("pre/", index_document="index.html", by_folder=True, root_page=Listing.FILTERED)
RULE = Rule(
    "access.rules[0]",
    {Right.WRITE: [Subject("user", "alice"), Subject("user", "bob")], Right.DELETE: [Subject("user", "bob")]},
    projects=[ProjectPattern("acme-*")],
)
FILES = (
    File("acme_web-1.0.tar.gz", "acme-web/acme_web-1.0.tar.gz", uploader="ci <x>", is_ours=True, is_attested=True),
    File("acme_web-1.0-py3-none-any.whl", "acme-web/acme_web-1.0-py3-none-any.whl", yanked="", is_ours=True),
    File("acme_web-2.0.tar.gz", "https://other.example/acme_web-2.0.tar.gz"),
)
ALL = Actions(upload=True, yank=True, delete=True)


UNUSED = cast(Any, None)
BROWSE = ProjectPages(UNUSED, UNUSED, "", "", MemoryLimit(0))


class Current:
    def __init__(self, policy: Policy | None) -> None:
        self.policy = policy


@pytest.mark.parametrize(
    ("user", "project", "expected", "at_root"),
    [
        ("alice", "acme-web", Actions(upload=True, yank=True), True),
        ("bob", "acme-web", ALL, True),
        ("bob", "other", NO_ACTIONS, True),
        ("carol", "acme-web", NO_ACTIONS, False),
        ("", "acme-web", NO_ACTIONS, False),
    ],
)
def test_what_is_offered_is_what_is_permitted(user: str, project: str, expected: Actions, at_root: bool) -> None:
    permitted = PermittedActions(Current(Policy([RULE])), RESOURCES, "pre/")
    assert permitted.at(Principal(user), project) == expected
    assert permitted.at_root(Principal(user)) == Actions(upload=at_root)


def test_without_a_policy_everybody_may_upload_and_no_more() -> None:
    permitted = PermittedActions(Current(None), RESOURCES, "pre/")
    assert permitted.at(ANONYMOUS, "acme-web") == permitted.at_root(ANONYMOUS) == Actions(upload=True)


def project_page(actions: Actions) -> str:
    return BROWSE.project(Project("acme-web", ("1.0", "2.0"), FILES), About(), actions).decode()


def test_a_page_offers_changes_of_our_own_files() -> None:
    page = project_page(ALL)
    there = "../-/manage/acme-web/?action={}&amp;version=1.0"
    for action in ("yank", "delete"):
        assert page.count(f'href="{there.format(action)}"') == 1
        assert page.count(f'href="{there.format(action)}&amp;file=acme_web-1.0.tar.gz"') == 1
    assert page.count(f'href="{there.format("unyank")}&amp;file=acme_web-1.0-py3-none-any.whl"') == 1
    assert "version=2.0" not in page
    assert 'data-to="../legacy/"' in page


def test_a_page_offers_nothing_to_who_may_only_read() -> None:
    page = project_page(NO_ACTIONS)
    assert "/manage/" not in page
    assert 'class="upload"' not in page
    assert 'class="upload"' in project_page(Actions(upload=True))
    assert "/manage/" not in project_page(Actions(upload=True))
    assert "action=delete" not in project_page(Actions(upload=True, yank=True))


def test_a_page_tells_who_published_a_file_and_that_it_is_attested() -> None:
    page = project_page(NO_ACTIONS)
    assert "by ci &lt;x&gt;" in page
    assert page.count(">provenance</a>") == 1
    assert 'href="../acme-web/acme_web-1.0.tar.gz.provenance"' in page


def test_the_list_of_projects_takes_uploads_too() -> None:
    upload = Actions(upload=True)
    for page, offered in (
        (BROWSE.projects(["a"], "", upload), True),
        (BROWSE.projects(["a"], ""), False),
        (BROWSE.empty(upload, blank=False), True),
        (BROWSE.empty(blank=False), False),
    ):
        assert (b'data-to="./legacy/"' in page) is offered
