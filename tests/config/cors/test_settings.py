"""The section `cors`: what origins are, and what does not go together."""

import pytest

from gateway.config.cors.settings import CorsSettings
from gateway.config.load import load, load_text
from gateway.errors import ConfigError


def cors(text: str) -> CorsSettings:
    return load_text(f"cors: {{{text}}}\n", "c.yaml").cors


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "c.yaml")
    return [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def test_origins_are_kept_as_browsers_write_them() -> None:
    given = "[HTTPS://App.Example.org:443, 'http://x:80', 'http://x:443', 'https://*.b.org:443', 'http://[::1]:3000']"
    assert cors(f"origins: {given}").origins == [
        "https://app.example.org",
        "http://x",
        "http://x:443",
        "https://*.b.org",
        "http://[::1]:3000",
    ]


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://a.org",
        "https://*.a.org:8443",
        "http://localhost:*",
        "http://*.localhost:*",
        "moz-extension://0b6c2e7a-5f0c-4ad0-9d5f-0a9d0b0a0c0e",
        "capacitor://localhost",
    ],
)
def test_origins_that_there_are(origin: str) -> None:
    assert cors(f"origins: ['{origin}']").origins == [origin]


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "a.org",
        "https://",
        "https://a.org/",
        "https://a.org/x",
        "https://user@a.org",
        "https://a.org:0",
        "https://a.org:http",
        "https://a*.org",
        "https://*",
        "https://*a.org",
        "https://a.*.org",
        "https://a.*",
        "*://a.org",
        "https://*.*.org",
        "https://bücher.example",
        "https://a.org\\nx",
        "https://a.org https://b.org",
        "",
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    [said] = problems(f'cors: {{origins: ["{origin}"]}}\n')
    assert said == (
        "cors.origins: must be an origin like https://app.example.org, https://*.example.org or http://localhost:*"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("origins: ['*'], credentials: true", "cors.origins: can't be '*' with cors.credentials: name them"),
        (
            "origins: [https://a.org], credentials: true, headers: ['*']",
            "cors.headers: can't be '*' with cors.credentials: name them",
        ),
        (
            "origins: [https://a.org], credentials: true, exposed_headers: ['*']",
            "cors.exposed_headers: can't be '*' with cors.credentials: name them",
        ),
        ("origins: ['*', https://a.org]", "cors.origins: has '*', which is all of them, beside others: keep one"),
        (
            "origins: ['*'], methods: [GET, POST]",
            "cors.methods: can't have POST with the origin '*': any page could have its visitors' browsers publish",
        ),
        (
            "headers: [x-requested-WITH]",
            "cors.headers: can't have X-Requested-With, by which the gateway knows the scripts of its own pages",
        ),
        ("headers: ['a b']", "cors.headers: must be names of headers, like Authorization"),
        ('exposed_headers: ["a\\r\\nb"]', "cors.exposed_headers: must be names of headers, like Authorization"),
        ("max_age: -1", "cors.max_age: Input should be greater than or equal to 0"),
        ("methods: [PUT]", "cors.methods: number 1: Input should be 'GET', 'HEAD' or 'POST'"),
    ],
)
def test_what_does_not_go_together_is_said(text: str, said: str) -> None:
    assert problems(f"cors: {{{text}}}\n") == [said]


def test_they_come_from_variables_too() -> None:
    environ = {"GATEWAY_CORS__ORIGINS": "https://a.org, https://*.b.org", "GATEWAY_CORS__METHODS": "GET,POST"}
    found = load({"cors.max_age": "5"}, environ=environ).cors
    assert (found.origins, found.methods, found.max_age) == (["https://a.org", "https://*.b.org"], ["GET", "POST"], 5)


def test_a_mount_gives_its_own_and_inherits_the_rest() -> None:
    text = """
storage: {bucket: my-pypi}
cors: {origins: [https://a.org], max_age: 5}
mounts:
- {name: b, path: /b}
- {name: c, path: /c, cors: {origins: [https://c.org], credentials: true}}
- {name: d, path: /d, cors: {origins: []}}
- {name: e, path: /e, members: [b, c], cors: {origins: ['*']}}
"""
    found = {one.mount.name: one.cors for one in load_text(text, "c.yaml").all_mounts}
    assert [(name, one.origins, one.max_age, one.credentials) for name, one in found.items()] == [
        ("default", ["https://a.org"], 5, False),
        ("b", ["https://a.org"], 5, False),
        ("c", ["https://c.org"], 5, True),
        ("d", [], 5, False),
        ("e", ["*"], 5, False),
    ]


def test_a_mistake_of_a_mount_is_said_of_the_mount() -> None:
    text = (
        "storage: {bucket: my-pypi}\ncors: {origins: ['*']}\nmounts: [{name: b, path: /b, cors: {credentials: true}}]"
    )
    assert problems(text) == ["mounts.b.cors.origins: can't be '*' with cors.credentials: name them"]
