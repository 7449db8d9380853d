"""Every kind of principal, on every route, through every cache, against an oracle of the rights."""

import hashlib
import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.access.authenticator import Identity
from gateway.access.login import session
from gateway.access.login.signed_cookie import CookieKeys
from gateway.access.tokens.keys import HmacKey
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.config.load import load
from gateway.principal import ANONYMOUS, Principal, Right, Scope
from tests.support.faults import BUCKET, FaultyBucket
from tests.support.nightly import NIGHTLY
from tests.support.people import GROUPS
from tests.support.publicindex import PublicIndex
from tests.support.rights import GivenRule, may
from tests.support.wheels import sboms_wheel

KEY = "k" * 40
BROWSER = "text/html,application/xhtml+xml"
JSON = "application/vnd.pypi.simple.v1+json"
OURS = ["acme-web", "acme-db", "zulu", "yankee"]
THEIRS = "elsewhere"
SBOM = b'{"bomFormat": "CycloneDX"}'
FILES = {name: sboms_wheel(name.replace("-", "_"), "1.0", {"a.cdx.json": SBOM}) for name in [*OURS, THEIRS]}

SUBJECTS = ["everyone", "authenticated", "user:alice", "user:dave", "group:data", "group:release", "token:t1"]
GLOBS = ["*", "acme-*", "acme-web", "yankee", "else*", "ghost"]


def of(name: str, scope: Scope | None = None) -> Principal:
    return Principal(name, groups=frozenset(GROUPS[name]), token="t1" if scope else "", scope=scope)


def token(scope: Scope) -> str:
    return issue(Claims("alice", "t1", scope, 4_000_000_000), HmacKey(KEY.encode()))


def session_of(name: str) -> str:
    """Its groups are those that the authenticator told."""
    identity = Identity(name, frozenset(GROUPS[name]), expires=4_000_000_000)
    return session.encode(identity, CookieKeys((KEY.encode(),)))


READ, BOTH = frozenset({Right.READ}), frozenset({Right.READ, Right.FALLBACK})
SCOPES = [Scope(READ), Scope(BOTH, ("acme-*",)), Scope(frozenset({Right.WRITE}))]
# A token's subject has the groups of the configuration, which are those of People here.
PRINCIPALS: dict[str, tuple[Principal, dict[str, str]]] = {
    "anonymous": (ANONYMOUS, {"Sec-Fetch-Mode": "cors"}),  # nobody who would be sent to log in
    **{
        name: (of(name), {"Authorization": "Basic " + b64encode(f"{name}:pw-{name}".encode()).decode()})
        for name in GROUPS
    },
    **{
        f"token-{number}": (of("alice", scope), {"Authorization": f"Bearer {token(scope)}"})
        for number, scope in enumerate(SCOPES)
    },
    **{f"session-{name}": (of(name), {"Cookie": f"a=b; {session.NAME}={session_of(name)}"}) for name in GROUPS},
    **{
        f"forwarded-{name}": (of(name), {"Remote-User": name, "Remote-Groups": ",".join(sorted(GROUPS[name]))})
        for name in GROUPS
    },
}


@dataclass(frozen=True)
class Route:
    """What is asked, and what it belongs to. `fallback`: it comes from the other index."""

    target: str
    project: str
    accept: str = "*/*"
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    answers: tuple[int, ...] = (200,)
    fallback: bool = False

    @property
    def path(self) -> str:
        """As the manual has it: without simple/. A document about a project belongs where the project's page is."""
        path = re.sub("^/simple", "", self.target.partition("?")[0])
        return f"/{self.project}/" if path.endswith("/json") else path


def etag(name: str) -> str:
    """That of the bucket."""
    return f'"{hashlib.md5(FILES[name][1], usedforsecurity=False).hexdigest()}"'


def routes() -> Iterator[Route]:
    for name in OURS:
        file = FILES[name][0]
        yield Route(f"/simple/{name}/", name)
        yield Route(f"/simple/{name}/", name, JSON)
        yield Route(f"/{name}/", name, BROWSER)
        yield Route(f"/{name}", name, answers=(301,))
        yield Route(f"/{name}/{file}", name, answers=(200, 302))
        yield Route(f"/{name}/{file}", name, method="HEAD", answers=(200, 302))
        yield Route(f"/simple/{name}/{file}", name, answers=(200, 302))
        yield Route(f"/{name}/{file}", name, headers=(("Range", "bytes=0-3"),), answers=(206, 302))
        yield Route(f"/{name}/{file}", name, headers=(("If-None-Match", etag(name)),), answers=(304, 302))
        yield Route(f"/{name}/{file}.metadata", name)
        yield Route(f"/{name}/{file}.sboms/", name)
        yield Route(f"/{name}/{file}.sboms/", name, BROWSER)
        yield Route(f"/{name}/{file}.sboms", name, answers=(301,))
        yield Route(f"/{name}/{file}.sboms/a.cdx.json", name)
        yield Route(f"/simple/{name}/{file}.sboms/a.cdx.json", name)
        yield Route(f"/pypi/{name}/json", name)
        yield Route(f"/pypi/{name}/1.0/json", name)
        yield Route(f"/pypi/{name}/2.0/json", name, answers=(404,))
        yield Route(f"/{name}/absent-1.0.tar.gz", "absent", answers=(404,))
    yield Route("/yankee/index.html", "yankee", answers=(200, 302))
    yield Route("/simple/ghost/", "ghost", answers=(404,))
    yield Route("/ghost", "ghost", answers=(404,))
    yield Route("/Acme_Web/", "acme-web", answers=(301,))
    yield Route(f"/simple/{THEIRS}/", THEIRS, fallback=True)
    yield Route(f"/simple/{THEIRS}/", THEIRS, JSON, fallback=True)
    yield Route("/pypi/Acme_Web/json", "acme-web", answers=(301,))
    yield Route("/pypi/ghost/json", "ghost", answers=(404,))
    yield Route(f"/pypi/{THEIRS}/json", THEIRS, fallback=True)
    yield Route(f"/{THEIRS}/{FILES[THEIRS][0]}", THEIRS, answers=(200, 302), fallback=True)
    yield Route(f"/{THEIRS}/{FILES[THEIRS][0]}.sboms/", THEIRS, fallback=True)
    yield Route(f"/{THEIRS}/{FILES[THEIRS][0]}.sboms/a.cdx.json", THEIRS, fallback=True)


ROUTES = list(routes())
rules = st.lists(
    st.tuples(
        st.lists(st.sampled_from(GLOBS), min_size=1, max_size=1),
        st.just(()),
        st.dictionaries(
            st.sampled_from([Right.READ, Right.FALLBACK]), st.lists(st.sampled_from(SUBJECTS), max_size=2), max_size=2
        ),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda rule: tuple(rule[0]),
)
CACHES: dict[str, dict[str, str]] = {
    "none": {},
    "memory": {"cache.memory_bytes": "8MB"},
    "disk": {"cache.memory_bytes": "8MB", "cache.dir": "DIRECTORY", "cache.disk_bytes": "100MB"},
    "redirects": {"cache.memory_bytes": "8MB", "storage.redirect_urls": "true"},
}


def section(given_rules: Sequence[GivenRule], default: Sequence[str]) -> dict[str, str]:
    listed = [
        {"projects": list(globs), "paths": list(paths), "only": only}
        | {right.value: list(who) for right, who in grants.items()}
        for globs, paths, grants, only in given_rules
    ]
    groups: dict[str, list[str]] = {}
    for name, its in GROUPS.items():
        for group in sorted(its):
            groups.setdefault(group, []).append(name)
    return {
        "access.authenticators": "tests.support.people:People",
        "access.tokens": json.dumps({"keys": [KEY]}),
        "access.login": json.dumps({"cookie_keys": [KEY]}),
        "access.forward_auth": "{preset: authelia}",
        "server.trusted_proxies": "127.0.0.0/8",
        "access.groups": json.dumps(groups),
        "access.rules": json.dumps(listed),
        "access.default_read": ",".join(default),
        "access.admins": "carol",
    }


class Oracle:
    def __init__(self, given_rules: Sequence[GivenRule], default: Sequence[str]) -> None:
        self._rights = given_rules, {Right.READ: list(default)}, frozenset({"carol"})

    def permits(self, who: Principal, right: Right, project: str, path: str) -> bool:
        return may(*self._rights, who, right, project, path)

    def visible(self, who: Principal) -> set[str]:
        return {name for name in OURS if self.permits(who, Right.READ, name, f"/{name}/")}

    def refused(self, who: Principal, route: Route) -> bool:
        names = {route.project, route.path.split("/")[1].lower().replace("_", "-")}
        return not all(self.permits(who, Right.READ, name, route.path) for name in names)


async def ask(http: aiohttp.ClientSession, gateway: Gateway, route: Route, headers: Mapping[str, str]) -> Any:
    sent = {**dict(route.headers), "Accept": route.accept, "Accept-Encoding": "identity", **headers}
    async with http.request(route.method, gateway.url + route.target, headers=sent, allow_redirects=False) as answer:
        return answer, await answer.read()


async def check(
    http: aiohttp.ClientSession, gateway: Gateway, oracle: Oracle, route: Route, who: Principal, headers: dict[str, str]
) -> None:
    answer, body = await ask(http, gateway, route, headers)
    told = f"{who} {route}: {answer.status} {body[:200]!r}"
    if oracle.refused(who, route):
        assert answer.status == (403 if who.name else 401), told
        assert ("WWW-Authenticate" in answer.headers) == (not who.name), told
        assert answer.headers["Cache-Control"] == "no-store", told
        assert "Location" not in answer.headers, told
        assert SBOM not in body, told
        assert not [name for name in FILES if name.encode() in body], told
        return
    if route.fallback and not oracle.permits(who, Right.FALLBACK, route.project, route.path):
        assert answer.status == 404, told
        return
    assert answer.status in route.answers, told
    if answer.status != 404:
        assert "private" in answer.headers["Cache-Control"], told
        assert "public" not in answer.headers["Cache-Control"], told
        assert "Authorization" in answer.headers["Vary"], told


async def check_root(
    http: aiohttp.ClientSession, gateway: Gateway, oracle: Oracle, who: Principal, headers: dict[str, str]
) -> None:
    visible = oracle.visible(who)
    for target, accept in [("/simple/", "*/*"), ("/simple/", JSON), ("/", BROWSER), ("/?q=acme", BROWSER)]:
        answer, body = await ask(http, gateway, Route(target, "", accept), headers)
        shown = {name for name in OURS if name.encode() in body}
        told = f"{who} {target} {accept}: {answer.status} {shown}"
        if answer.status != 200:
            assert answer.status == (403 if who.name else 401), told
            assert not visible, told
            assert not shown, told
        elif "q=" in target:
            # Who may read all gets the page that is stored, which does not search.
            assert {name for name in visible if "acme" in name} <= shown <= visible, told
        else:
            assert shown == visible, told
    answer, body = await ask(http, gateway, Route("/index.html", ""), headers)
    if not visible.issuperset(OURS):
        assert answer.status == (403 if who.name else 401), f"{who}: {answer.status}"


@pytest.mark.parametrize("cache", CACHES)
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    max_examples=60 if NIGHTLY else 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    rules,
    st.lists(st.sampled_from(SUBJECTS), max_size=2),
    st.lists(st.sampled_from(ROUTES), min_size=10, max_size=14),
    st.permutations(sorted(PRINCIPALS)),
)
async def test_nothing_leaks(
    cache: str,
    http: aiohttp.ClientSession,
    tmp_path_factory: pytest.TempPathFactory,
    given_rules: list[GivenRule],
    default: list[str],
    asked: list[Route],
    order: list[str],
) -> None:
    """Random policies; all principals ask for a route one after the other, so that what is cached for those who may is
    there when those who may not ask."""
    oracle, directory = Oracle(given_rules, default), tmp_path_factory.mktemp("gateway")
    caches = {name: value.replace("DIRECTORY", f"{directory}/cache") for name, value in CACHES[cache].items()}
    async with FaultyBucket().running() as faulty, PublicIndex().running() as public:
        for name in OURS:
            file, content = FILES[name]
            faulty.objects[f"{name}/{file}"] = content
        faulty.objects["yankee/index.html"] = f'<a href="{FILES["yankee"][0]}">{FILES["yankee"][0]}</a>'.encode()
        faulty.objects["index.html"] = "".join(f'<a href="{name}/">{name}</a>' for name in OURS).encode()
        public.projects = {THEIRS: dict([FILES[THEIRS]])}
        gateway = Gateway(
            load(
                bucket_settings(faulty, public) | caches | section(given_rules, default),
                environ={},
                cwd=directory,
            )
        )
        await gateway.start()
        try:
            for route in asked:
                for name in order:
                    await check(http, gateway, oracle, route, *PRINCIPALS[name])
            for name in order:
                await check_root(http, gateway, oracle, *PRINCIPALS[name])
        finally:
            await gateway.stop()
    shutil.rmtree(directory)


def bucket_settings(faulty: FaultyBucket, public: PublicIndex) -> dict[str, str]:
    return {
        "server.port": "0",
        "log.access": "false",
        "log.audit": "false",
        "cache.memory_bytes": "0",
        "index.layout": "project",
        "fallback.mode": "mirror",
        "fallback.base_url": public.url,
        "storage.bucket": BUCKET,
        "storage.endpoint_url": faulty.url,
        "storage.addressing_style": "path",
        "storage.region_name": "us-east-1",
        "storage.aws_access_key_id": "AKIDFAULTY",
        "storage.aws_secret_access_key": "the-secret-of-faulty",
    }
