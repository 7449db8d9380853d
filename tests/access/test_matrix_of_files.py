"""Rules for projects and paths in every layout and mode of the other index: whatever is asked for, and however it is
spelled, nobody gets a byte, a hash or a name of a file that the rules refuse."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.app import Gateway
from gateway.config.load import load
from gateway.principal import Principal, Right
from tests.access.test_matrix import BROWSER, JSON, PRINCIPALS, SUBJECTS, bucket_settings, section
from tests.support.faults import BUCKET, FaultyBucket
from tests.support.nightly import NIGHTLY
from tests.support.publicindex import PublicIndex
from tests.support.rights import GivenRule, may
from tests.support.wheels import wheel

ASKING = ["anonymous", "alice", "carol", "session-bob", "forwarded-dave", "token-0", "token-1", "token-2"]
FORMS = ["*/*", JSON, BROWSER]
COMPANIONS = (".metadata", ".provenance", ".sha256", ".yanked")


@dataclass(frozen=True)
class File:
    """A file of ours, or of the other index. `path` is the one at which clients get it, and `told` what its content has
    and nothing else. `owner` is the path of the file that it describes."""

    path: str
    project: str
    version: str
    told: str
    content: bytes
    theirs: bool = False
    owner: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @cached_property
    def marks(self) -> list[str]:
        """What no answer has but for who may read the file."""
        md5 = hashlib.md5(self.content, usedforsecurity=False)
        return [md5.hexdigest(), hashlib.sha256(self.content).hexdigest(), self.told]


def sdist(folder: str, project: str, version: str, told: str = "", **others: Any) -> File:
    told = f"told by {told or version}"
    name = f"{project.replace('-', '_')}-{version}.tar.gz"
    return File(f"/{folder}{name}", project, version, told, told.encode(), **others)


def built(folder: str, project: str, version: str, **others: Any) -> File:
    name, content = wheel(project.replace("-", "_"), version)
    return File(f"/{folder}{name}", project, version, f"Version: {version}", content, **others)


YANKED = sdist("acme-web/", "acme-web", "7002.0")
MANUAL = File("/docs/latest.pdf", "", "7009", "told by 7009", b"told by 7009")
OF_FOLDERS = [
    built("acme-web/", "acme-web", "7001.0"),
    YANKED,
    File(f"{YANKED.path}.yanked", "acme-web", "", "told by 7003", b"told by 7003", owner=YANKED.path),
    sdist("Acme_Db/", "acme-db", "7004.0"),
    sdist("acme-db/", "acme-db", "7005.0"),
    sdist("acme-web/", "zulu", "7006.0"),  # it is none of its folder's
    sdist("zulu/", "zulu", "7007.0"),
    MANUAL,
]
FLAT = [
    built("", "acme-web", "7011.0"),
    sdist("public/", "acme-web", "7012.0"),
    sdist("internal/", "acme-web", "7012.0", "another"),  # one name in two folders
    sdist("internal/", "acme-db", "7013.0"),
    built("internal/", "zulu", "7014.0"),
    sdist("Acme_Db/", "acme-db", "7015.0"),
    MANUAL,
]
THEIRS = [
    sdist("elsewhere/", "elsewhere", "8001.0", theirs=True),
    built("elsewhere/", "elsewhere", "8002.0", theirs=True),
    sdist("acme-web/", "acme-web", "8003.0", theirs=True),
    sdist("acme-db/", "acme-db", "8004.0", theirs=True),
    # These have the names of files of ours, in some layouts. Nobody may get them in their place.
    *(sdist("acme-web/", "acme-web", version, f"no {version}", theirs=True) for version in ("7002.0", "7012.0")),
    *(sdist("acme-db/", "acme-db", version, f"no {version}", theirs=True) for version in ("7004.0", "7013.0")),
]

GLOBS = ["*", "acme-*", "acme-web", "zulu", "else*", "docs", "internal"]
PATHS = [
    *("/", "/acme-web/", "/acme-db/", "/Acme_Db/", "/Acme_Web/", "/docs/", "/internal/", "/public/", "/elsewhere/"),
    *("/Elsewhere/", "/docs/latest/manual.pdf/", f"{YANKED.path}/", f"{FLAT[0].path}/", f"{OF_FOLDERS[0].path}/"),
    *(f"{FLAT[4].path}/", f"{THEIRS[1].path}/"),
]


@dataclass(frozen=True)
class World:
    """How things lie, and what the gateway does with the other index."""

    layout: str  # or `hash`: pypicloud's
    mode: str
    always: bool
    cache: str

    @property
    def ours(self) -> list[File]:
        return OF_FOLDERS if self.layout in ("project", "hash") else FLAT

    def projects(self, file: File) -> set[str]:
        """As the manual has it: the project of the folder, unless folders are none, and that of the file's name."""
        folder = re.sub("[-_.]+", "-", file.path.split("/")[1]).lower()
        by_folder = self.layout in ("project", "auto") and file.path.count("/") > 1
        return {file.project} - {""} | ({folder} if by_folder or not file.project else set())

    def settings(self, directory: Any) -> dict[str, str]:
        layout = {"hash": {"storage.prepend_hash": "true"}}.get(self.layout, {"index.layout": self.layout})
        caches = {
            "none": {},
            "memory": {"cache.memory_bytes": "8MB"},
            "disk": {"cache.memory_bytes": "8MB", "cache.dir": str(directory / "cache"), "cache.disk_bytes": "100MB"},
            "redirects": {"cache.memory_bytes": "8MB", "storage.redirect_urls": "true"},
            "unchecked": {"storage.redirect_urls": "true", "storage.redirect_check": "false"},
        }
        always = {
            "fallback.always_show_upstream": str(self.always and self.mode != "none").lower(),
            "fallback.mode": self.mode,
        }
        return {"index.layout": "auto"} | layout | caches[self.cache] | always

    def key(self, file: File) -> str:
        key = file.path[1:]
        return f"{hash_of(file.name)}/{key}" if self.layout == "hash" else key


class Oracle:
    def __init__(self, world: World, rules: list[GivenRule], default: list[str]) -> None:
        self._world = world
        self._rights = rules, {Right.READ: default}, frozenset({"carol"})
        self._names = {file.name for file in world.ours}
        self._all_names = [file.name for file in [*world.ours, *THEIRS]]

    def may(self, who: Principal, file: File, right: Right = Right.READ) -> bool:
        """Whether all projects and paths of a file permit it."""
        paths = {file.path, file.owner or file.path}
        return all(
            may(*self._rights, who, right, project, path)
            for project in self._world.projects(file) or {""}
            for path in paths
        )

    def hides(self, who: Principal, file: File) -> bool:
        """Whether nothing may tell of a file. One that is kept among ours needs no further right."""
        if file.theirs and file.name in self._names:
            return True
        fetched = file.theirs and self._world.mode != "cache"
        return not self.may(who, file) or (fetched and not self.may(who, file, Right.FALLBACK))

    def told_by_name(self, file: File) -> bool:
        """Whether an answer that has the version tells of this file, and of no other."""
        return bool(file.version) and sum(file.name == name for name in self._all_names) == 1


def hash_of(name: str) -> str:
    """In which pypicloud puts a file."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:4]


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
    min_size=12,
    max_size=20,
)
grants = st.dictionaries(
    st.sampled_from([Right.READ, Right.FALLBACK]), st.lists(st.sampled_from(SUBJECTS), max_size=2), max_size=2
)
rules = st.lists(
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


@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    max_examples=400 if NIGHTLY else 8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    worlds,
    rules,
    st.lists(st.sampled_from(SUBJECTS), max_size=2),
    questions,
    st.permutations(ASKING).map(lambda o: o[:5]),
)
async def test_no_spelling_leads_to_a_file_that_rules_refuse(
    http: aiohttp.ClientSession,
    tmp_path_factory: pytest.TempPathFactory,
    world: World,
    given_rules: list[GivenRule],
    default: list[str],
    asked: list[Question],
    order: list[str],
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
            for question in asked:
                for user in order:
                    await check(http, gateway, oracle, question, user, [*world.ours, *THEIRS])
            for file in [*world.ours, *THEIRS]:
                await check_file(http, gateway, oracle, file, order[-1])
        finally:
            await gateway.stop()
    shutil.rmtree(directory)
