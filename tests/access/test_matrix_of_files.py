"""Rules for projects and paths in every layout and mode of the other index: whatever is asked for, and however it is
spelled, nobody gets a byte, a hash or a name of a file that the rules refuse."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import urljoin

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.app import Gateway
from gateway.config.load import load
from gateway.principal import Right
from tests.access.test_matrix import BROWSER, JSON, PRINCIPALS, SUBJECTS, bucket_settings, section
from tests.support.faults import BUCKET, FaultyBucket
from tests.support.nightly import NIGHTLY
from tests.support.publicindex import PublicIndex
from tests.support.rights import GivenRule
from tests.support.rights_worlds import FLAT, MANUAL, OF_FOLDERS, PAGE, THEIRS, YANKED, File, Oracle, World, hash_of

ASKING = ["anonymous", "alice", "carol", "session-bob", "forwarded-dave", "token-0", "token-1", "token-2"]
FORMS = ["*/*", JSON, BROWSER]
COMPANIONS = (".metadata", ".provenance", ".sha256", ".yanked", ".sboms/", ".sboms/a.json", ".sboms")


GLOBS = ["*", "acme-*", "acme-web", "zulu", "else*", "docs", "internal"]
PATHS = [
    *("/", "/acme-web/", "/acme-db/", "/Acme_Db/", "/Acme_Web/", "/docs/", "/internal/", "/public/", "/elsewhere/"),
    *("/Elsewhere/", f"{MANUAL.path}/", f"{YANKED.path}/", f"{FLAT[0].path}/", f"{OF_FOLDERS[0].path}/"),
    *(f"{FLAT[4].path}/", f"{PAGE.path}/", f"{THEIRS[1].path}/"),
]


def spellings(path: str) -> Iterator[str]:
    """Ways to ask for what lies at a path, or near it."""
    folder, _, name = path[1:].rpartition("/")
    others = {folder.upper(), folder.capitalize(), folder.replace("-", "_"), folder.replace("-", "--"), folder.lower()}
    shapes = [
        *(path, f"/simple{path}", f"/{path}", f"//simple/{path}", f"/simple/simple{path}", f"/simple{path}/"),
        *(path.replace("/", "//"), f"/{folder}%2F{name}", path.replace("-", "%2D"), path.replace("a", "%61")),
        *(
            path.replace(".", "%2E"),
            f"/{folder}/%2E/{name}",
            f"/{folder}/..%2F{folder}/{name}",
            f"{path}/",
            f"{path}?a=b",
        ),
        *(f"/{folder}/{name.upper()}", f"/{folder}/{name.replace('_', '-')}", f"/{name}", f"/.mirror{path}"),
        *(f"/zulu/{name}", f"/acme-web/{name}", f"/internal/{name}", f"/public/{name}", f"/.gateway{path}"),
        *(f"/{hash_of(name)}{path}", f"/{path};a=b"),
        *(f"/{other}/{name}" for other in others),
        *(f"/simple/{other}/{name}" for other in others),
        *(f"/{other}%2F{name}.metadata" for other in others),
    ]
    yield from shapes
    for suffix in COMPANIONS:
        yield from (f"{shape}{suffix}" for shape in shapes if "?" not in shape)
    for project in {folder, *others, name.partition("-")[0].replace("_", "-")} - {""}:
        yield from (
            f"/{project}/",
            f"/simple/{project}/",
            f"/simple/{project}",
            f"/{project}/index.html",
            f"//{project}/",
            f"/pypi/{project}/json",
            f"/simple/pypi/{project}/json",
            f"/pypi/{project}/{name.partition('-')[2].partition('-')[0].removesuffix('.tar.gz')}/json",
        )


EVERY_FILE = list(dict.fromkeys([*OF_FOLDERS, *FLAT, *THEIRS]))
TARGETS = sorted(
    {spelled for file in EVERY_FILE for spelled in spellings(file.path)} | {"/", "/simple/", "/index.html"}
)


@dataclass(frozen=True)
class Question:
    target: str
    accept: str = "*/*"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()


HEADERS = [
    *((), (("Range", "bytes=0-30"),), (("Range", "bytes=-20"),), (("Cache-Control", "no-cache"),)),
    *((("If-None-Match", f'"{file.marks[0]}"'),) for file in [*OF_FOLDERS, *FLAT]),
]
questions = st.lists(
    st.builds(
        Question,
        st.sampled_from(TARGETS),
        st.sampled_from(FORMS),
        st.sampled_from(["GET", "GET", "GET", "HEAD"]),
        st.sampled_from(HEADERS) | st.just(()),
    ),
    min_size=6,
    max_size=12,
)


def aimed(given_rules: list[GivenRule], files: list[File], random: Random) -> list[Question]:
    """Some of the ways to what rules for paths speak of."""
    paths = tuple(path for rule in given_rules for path in rule[1] if path != "/")
    named = [file for file in files if paths and f"{file.path}/".startswith(paths)]
    found = [spelled for file in named for spelled in random.sample([*spellings(file.path)], 8)]
    return [Question(target) for target in random.sample(found, min(len(found), 16))]


grants = st.dictionaries(
    st.sampled_from([Right.READ, Right.FALLBACK]), st.lists(st.sampled_from(SUBJECTS), max_size=2), max_size=2
)
rules: st.SearchStrategy[list[GivenRule]] = st.lists(
    st.tuples(st.lists(st.sampled_from(GLOBS), min_size=1, max_size=1), st.just([]), grants, st.booleans())
    | st.tuples(st.just([]), st.lists(st.sampled_from(PATHS), min_size=1, max_size=1), grants, st.booleans()),
    max_size=5,
    unique_by=lambda rule: (*rule[0], *rule[1]),
)
worlds = st.builds(
    World,
    st.sampled_from(["project", "flat", "auto", "hash"]),
    st.sampled_from(["none", "redirect", "cache", "mirror"]),
    st.booleans(),
    st.sampled_from(["none", "memory", "disk", "redirects", "unchecked"]),
)


async def answers(
    http: aiohttp.ClientSession, gateway: Gateway, question: Question, headers: Mapping[str, str]
) -> tuple[list[int], str]:
    """The statuses, and all that the gateway, and the storage to which it redirects, say to a question."""
    sent = {**dict(question.headers), "Accept": question.accept, "Accept-Encoding": "identity"}
    url, told, statuses = gateway.url + question.target, "", list[int]()
    while len(statuses) < 5:
        ours = url.startswith(f"{gateway.url}/")
        method, more = (question.method, headers) if ours else ("GET", {})
        given = sent | dict(more)
        async with http.request(method, URL(url, encoded=True), headers=given, allow_redirects=False) as answer:
            body = await answer.read()
        statuses.append(answer.status)
        others = {name: value for name, value in answer.headers.items() if name != "Location"}
        told += f"{others} {body.decode('utf-8', 'replace')}\n"
        if (location := answer.headers.get("Location")) is None:
            break
        url = urljoin(url, location)
        if f"/{BUCKET}/" not in url and not url.startswith(gateway.url):
            break  # a page of the other index
    return statuses, told


async def check(
    http: aiohttp.ClientSession, gateway: Gateway, oracle: Oracle, question: Question, user: str, files: list[File]
) -> None:
    who, headers = PRINCIPALS[user]
    statuses, told = await answers(http, gateway, question, headers)
    said = f"{who}\n{question}: {statuses}\n{told}"
    assert max(statuses) < 500, said
    for file in files:
        if oracle.hides(who, file):
            assert not [mark for mark in file.marks if mark in told], f"{file.path}\n{said}"
            if oracle.told_by_name(file) and file.version not in question.target:
                assert file.version not in told, f"{file.path}\n{said}"


async def check_file(http: aiohttp.ClientSession, gateway: Gateway, oracle: Oracle, file: File, user: str) -> None:
    """At its own path, who may read a file gets it, and others are refused."""
    who, headers = PRINCIPALS[user]
    statuses, told = await answers(http, gateway, Question(file.path), headers)
    said = f"{who}\n{file.path}: {statuses}\n{told}"
    if not oracle.may(who, file):
        assert statuses == [403 if who.name else 401], said
    elif not file.theirs:
        assert statuses[-1] == 200, said
        assert file.content.decode("utf-8", "replace") in told, said
        if file.name.endswith(".whl"):
            statuses, told = await answers(http, gateway, Question(f"{file.path}.sboms/a.json"), headers)
            assert (statuses, file.told in told) == ([200], True), f"{who}\n{file.path}: {statuses}\n{told}"


@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    max_examples=400 if NIGHTLY else 6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    worlds,
    rules,
    st.lists(st.sampled_from(SUBJECTS), max_size=2),
    questions,
    st.permutations(ASKING).map(lambda o: o[:5]),
    st.randoms(),
)
async def test_no_spelling_leads_to_a_file_that_rules_refuse(
    http: aiohttp.ClientSession,
    tmp_path_factory: pytest.TempPathFactory,
    world: World,
    given_rules: list[GivenRule],
    default: list[str],
    asked: list[Question],
    order: list[str],
    random: Random,
) -> None:
    oracle, directory = Oracle(world, given_rules, default), tmp_path_factory.mktemp("gateway")
    async with FaultyBucket().running() as faulty, PublicIndex().running() as public:
        faulty.objects = {world.key(file): file.content for file in world.ours}
        for file in THEIRS:
            public.projects.setdefault(file.project, {})[file.name] = file.content
        public.metadata = {file.name: file.told.encode() for file in THEIRS if file.name.endswith(".whl")}
        configured = bucket_settings(faulty, public) | section(given_rules, default) | world.settings(directory)
        gateway = Gateway(load(configured, environ={}, cwd=directory))
        await gateway.start()
        try:
            for question in [*asked, *aimed(given_rules, [*world.ours, *THEIRS], random)]:
                for user in order:
                    await check(http, gateway, oracle, question, user, [*world.ours, *THEIRS])
            for file in [*world.ours, *THEIRS]:
                await check_file(http, gateway, oracle, file, order[-1])
        finally:
            await gateway.stop()
    shutil.rmtree(directory)
