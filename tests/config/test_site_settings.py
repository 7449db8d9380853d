"""The section `site`: what is accepted, and what each mistake is told as."""

from typing import Any

import pytest
import yaml

from gateway.app import Gateway
from gateway.config.load import load, load_text
from gateway.errors import ConfigError

BUCKET = {"storage.bucket": "docs"}


def problems(flags: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load({"index.mode": "site"} | flags, environ={})
    return [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def of_redirect(**entry: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(yaml.safe_dump({"site": {"redirects": [{"path": "/a", "to": "/b"} | entry]}}), "file")
    return [problem.message for problem in caught.value.problems]


def test_the_names_of_the_issue_are_those_of_the_settings() -> None:
    text = "{index: {mode: site}, site: {listing: true, spa: false, error_document: 404.html}}"
    site = load_text(text, "file").site
    assert (site.listing, site.spa, site.error_document) == (True, False, "404.html")


def test_redirects_are_a_list_also_in_the_environment() -> None:
    variable = {"GATEWAY_SITE__REDIRECTS": '[{path: "/a/*", to: "/b/*"}, {path: /c, to: "https://x.org", status: 302}]'}
    found = load(environ=variable).site.redirects
    assert [(one.path, one.to, one.status) for one in found] == [("/a/*", "/b/*", 301), ("/c", "https://x.org", 302)]


@pytest.mark.parametrize("path", ["", "a", "//a", "/a//b", "/a*b*", "/a?b", "/a#b", "/a\n", "/a\\b", "/" + "a" * 2000])
def test_a_pattern_that_is_none(path: str) -> None:
    [message] = of_redirect(path=path)
    assert message.startswith("number 1: path: must ")


@pytest.mark.parametrize(
    "to",
    ["", "b", "//host/x", "/\\host", "/a b", "/a\n", "javascript:x", "https:/x", "https://", "https://u@host/", "http://[",
     "ftp://host/", "https://*", "https://host*/", "/" + "a" * 2000, "/*/*"],
)  # fmt: skip
def test_a_target_that_is_none(to: str) -> None:
    [message] = of_redirect(path="/a*", to=to)
    assert message.startswith("number 1: to: must ")


def test_other_mistakes_of_an_entry() -> None:
    assert of_redirect(to="/b/*") == ["number 1: has a * in to, but none in path"]
    assert of_redirect(status=200) == ["number 1: status: Input should be 301, 302, 307 or 308"]
    assert of_redirect(form="/x") == ["number 1: form: Extra inputs are not permitted"]


def test_there_are_not_too_many() -> None:
    table = yaml.safe_dump([{"path": f"/{number}", "to": "/x"} for number in range(1001)])
    [problem] = problems({"site.redirects": table})
    assert problem.startswith("site.redirects: ")


@pytest.mark.parametrize("key", ["", "/", "a/", "a//b", "../x", "a/./b", ".gateway/x", ".hidden"])
def test_an_error_document_that_is_no_key(key: str) -> None:
    if key:
        assert problems({"site.error_document": key}) == [
            "site.error_document: must be a key in the site, like 404.html or errors/404.html"
        ]


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"site.versions": "true"}, "site.versions"),
        (BUCKET | {"storage.prepend_hash": "true"}, "storage.prepend_hash"),
        ({"cache.prefetch": "true"}, "cache.prefetch"),
        (
            {"access.default_read": "everyone", "access.rules": "[{projects: [a], paths: [/a/], read: [everyone]}]"},
            "access.rules",
        ),
        (BUCKET | {"site.website_redirects": "true", "storage.redirect_urls": "true"}, "storage.redirect_urls"),
        ({"fallback.mode": "redirect"}, "fallback.mode"),
        ({"publish.enabled": "true", "publish.allow_anonymous": "true"}, "publish.enabled"),
    ],
)
def test_what_does_not_go_with_a_site(flags: dict[str, str], key: str) -> None:
    assert [problem.partition(":")[0] for problem in problems(flags)] == [key]
    load({name: value for name, value in flags.items() if name != key} | {"index.mode": "site"}, environ={})


def test_redirects_that_never_end_stop_the_start() -> None:
    settings = load({"index.mode": "site", "site.redirects": '[{path: "/a/*", to: "/a/b/*"}]'}, environ={})
    with pytest.raises(ConfigError, match=r"the entry for /a/\* never ends"):
        Gateway(settings)
