"""What somebody may not read changes no answer to them: not the status, nor a header, nor a byte.

Two gateways are asked the same. They differ only in what whoever asks may not read: one of them does not have it.
Admins ask before, so that what is cached for those who may is there when those who may not ask.
"""

import os
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.app import Gateway
from gateway.config.load import load
from tests.access.test_matrix import BROWSER, JSON, KEY, PRINCIPALS, SUBJECTS
from tests.support.nightly import NIGHTLY
from tests.support.people import GROUPS
from tests.support.wheels import sdist, wheel

SECRET = "secret-x"
# Who may read it is none of ASKING.
READERS = ["user:dave", "group:release", "user:nobody"]
ASKING = ["anonymous", "alice", "session-alice", "forwarded-alice", "token-0", "token-1"]
OPEN = [wheel("acme_web", "1.0"), sdist("acme_db", "1.0"), wheel("zulu", "1.0")]
HIDDEN = [wheel("secret_x", "1.0"), sdist("secret_x", "2.0"), sdist("secret_x", "3.0")]
COMPANIONS = [".metadata", ".provenance", ".yanked", ".sha256"]
PAGES = ["", "docs/", "docs/sub/", "private/"]
# The site's files, of which rules for these paths refuse the last.
FILES = ["index.html", "a.txt", "docs/a.txt", "docs/m/x.txt", "docs/z.txt"]
REFUSED = ["docs/secret.txt", "docs/b/c.txt", "docs/sub/index.html", "docs/zz.txt", "private/a.txt", "docs/a.txt.gz"]
PATHS = ["/docs/secret.txt", "/docs/b", "/docs/sub", "/docs/zz.txt", "/private", "/docs/a.txt.gz"]
_PASSING = {"date", "x-request-id", "age", "cache-status", "content-length", "set-cookie"}


def put(directory: Path, key: str, content: bytes | str) -> str:
    (directory / key).parent.mkdir(parents=True, exist_ok=True)
    (directory / key).write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(directory / key, (1_700_000_000, 1_700_000_000))
    return key


def fill_index(directory: Path, random: Random, *, flat: bool) -> list[str]:
    """Returns the keys of what is secret."""
    for name, content in OPEN:
        put(directory, f"{'' if flat else name.partition('-')[0].replace('_', '-') + '/'}{name}", content)
    put(directory, "docs/readme.txt", "readme")
    folder = "" if flat else random.choice(["secret-x/", "Secret_X/", "SECRET.x/"])
    found = [put(directory, f"{folder}{name}", content) for name, content in HIDDEN]
    found += [put(directory, key + suffix, "told") for key in found for suffix in random.sample(COMPANIONS, 2)]
    if not flat:
        found += [put(directory, f"{folder}{name}", "told") for name in random.sample(["index.html", "notes.txt"], 1)]
    for key in (f"zulu/{HIDDEN[2][0]}", "zulu/secret_x-7.0.whl.bak", "simple/secret-x/index.html"):
        if random.random() < 0.5:
            found.append(put(directory, key, "told"))
    return found


def fill_site(directory: Path) -> list[str]:
    for key in FILES:
        put(directory, key, key)
    return [put(directory, key, f"told by {key}") for key in REFUSED]


def rules(random: Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"projects": [SECRET], "read": [random.choice(READERS)], "only": True}]
    for what in random.sample(["*", "acme-*", "zulu", "docs", "s*", "/docs/", "/zulu/", "/acme-web/"], 3):
        kind = "paths" if "/" in what else "projects"
        found.append({kind: [what], "read": random.sample(SUBJECTS, 1), "only": random.random() < 0.4})
    return found


def configuration(random: Random) -> dict[str, Any]:
    groups = {group: [name for name in GROUPS if group in GROUPS[name]] for group in ("data", "release")}
    defaults = [["everyone"], ["authenticated"], []]
    site = {"rules": [{"paths": PATHS, "read": [random.choice(READERS)], "only": True}]}
    return {
        "storage": {"dir": "DIR/main"},
        "index": {"layout": "project"},
        "publish": {"enabled": True, "beacon": False},
        "server": {"trusted_proxies": ["127.0.0.0/8"]},
        "cache": {"memory_bytes": random.choice(["0", "8MB"])},
        "access": {
            "authenticators": ["tests.support.people:People"],
            "tokens": {"keys": [KEY]},
            "login": {"cookie_keys": [KEY]},
            "forward_auth": {"preset": "authelia"},
            "groups": groups,
            "admins": ["carol"],
            "default_read": random.choice(defaults),
            "default_write": random.choice(defaults),
            "rules": rules(random),
        },
        "mounts": [
            {
                "name": "flat",
                "path": "/flat",
                "storage": {"dir": "DIR/flat"},
                "index": {"layout": random.choice(["flat", "auto"])},
                "access": {"rules": rules(random), "default_read": random.choice(defaults)},
            },
            {
                "name": "site",
                "path": "/site",
                "storage": {"dir": "DIR/site"},
                "index": {"mode": "site"},
                "site": {"listing": True, "spa": random.random() < 0.5, "precompressed": ["gzip"]},
                "access": site | {"default_read": ["everyone"]},
            },
            {"name": "all", "path": "/all", "members": random.sample(["default", "flat"], 2)},
        ],
    }


def targets(random: Random) -> list[str]:
    names = [HIDDEN[0][0], HIDDEN[1][0], "secret_x-77.0.tar.gz", "secret_x-7.0.whl.bak", "index.html", "notes.txt", ""]
    files = [
        *names,
        *(f"{name}{suffix}" for name in names[:3] for suffix in [*COMPANIONS, ".asc", "/", ".sboms/", ".sboms/a.json"]),
    ]
    folders = [
        "secret-x",
        "Secret_X",
        "secret.x",
        "simple/secret-x",
        "simple/simple/secret_x",
        "zulu",
        "acme-web",
        "/zulu",
    ]
    some = [f"/{random.choice(folders)}{random.choice(['/', '//', '%2F'])}{random.choice(files)}" for _ in range(25)]
    fixed = [
        "/",
        "/simple/",
        "/?q=s",
        "/index.html",
        "/zulu/",
        "/simple/zulu/",
        "/simple/secret-x/",
        "/secret-x",
        "/docs/",
    ]
    manage = ["/-/manage/secret-x/?action=delete&version=1.0", "/-/manage/secret-x/?action=status"]
    indexes = [f"{mount}{target}" for mount in ("", "/flat", "/all") for target in [*some, *fixed, *manage]]
    after = [f"{page}?after={name}" for page in PAGES for name in ("a", "b", "m", "secret", "x")]
    sites = [f"/site/{key}" for key in [*FILES, *REFUSED, *PAGES, *after, "docs/sub", "private", "/docs//sub/", "none"]]
    return [*indexes, *sites]


async def answer(
    http: aiohttp.ClientSession, gateway: Gateway, method: str, target: str, headers: dict[str, str]
) -> tuple[int, list[tuple[str, str]], str]:
    url, sent = URL(gateway.url + target, encoded=True), {"Host": "packages.example.org", **headers}
    async with http.request(method, url, headers=sent, allow_redirects=False) as answer:
        kept = sorted((name, text) for name, text in answer.headers.items() if name.lower() not in _PASSING)
        body = (await answer.read()).decode("utf-8", "replace")
        return answer.status, kept, body.replace(answer.headers["X-Request-ID"], "ID")


@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    max_examples=100 if NIGHTLY else 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.randoms(use_true_random=False))
async def test_what_one_may_not_read_changes_no_answer(
    http: aiohttp.ClientSession, tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    configured = yaml.safe_dump(configuration(random))
    whole, without = (tmp_path_factory.mktemp(name) for name in ("whole", "without"))
    hidden = [f"main/{key}" for key in fill_index(whole / "main", random, flat=False)]
    hidden += [f"flat/{key}" for key in fill_index(whole / "flat", random, flat=True)]
    hidden += [f"site/{key}" for key in fill_site(whole / "site")]
    for path in whole.rglob("*"):
        key = str(path.relative_to(whole))
        if path.is_file() and key not in hidden:
            (without / key).parent.mkdir(parents=True, exist_ok=True)
            os.link(path, without / key)  # for the same ETag
    gateways = list[Gateway]()
    for directory in (whole, without):
        (directory / "config.yaml").write_text(configured.replace("DIR", str(directory)))
        given = {"server.port": "0", "log.access": "false", "log.audit": "false"}
        gateways.append(Gateway(load(given, environ={}, cwd=directory)))
        await gateways[-1].start()
    try:
        for target in random.sample(targets(random), 60):
            method = random.choice(["GET", "GET", "GET", "HEAD", "POST", "OPTIONS"])
            sent = {"Accept": random.choice(["*/*", JSON, BROWSER]), "Accept-Encoding": "identity"}
            for gateway in gateways:
                await answer(http, gateway, "GET", target, sent | PRINCIPALS["carol"][1])
            for user in random.sample(ASKING, 2):
                asked = method, target, sent | PRINCIPALS[user][1]
                one, other = [await answer(http, gateway, *asked) for gateway in gateways]
                assert one == other, (user, *asked)
    finally:
        for gateway in gateways:
            await gateway.stop()
