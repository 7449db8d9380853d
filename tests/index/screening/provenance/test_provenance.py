"""Rules about provenance, through the gateway: what attests the other index's files, and what does not."""

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.cli.policy.judging import judging
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.index.screening.provenance.source import ProvenanceSource
from gateway.index.screening.screened_index import ScreenedIndex
from tests.conftest import StartGateway
from tests.index.screening.test_screen import (
    CONTENT,
    FILE,
    NAME,
    OLD,
    OLD_CONTENT,
    Clock,
    clock,
    get,
    page,
    public,
    settings,
    shown,
    started,
)
from tests.support.faults import FaultyBucket
from tests.support.publicindex import PublicIndex
from tests.support.sigstore import REF, Sigstore, job, provenance, sigstore, statement

__all__ = ["clock", "public", "settings"]  # the fixtures
KEY = ".gateway/provenance/public-lib.json"
_ALL = "[{projects: [public-lib], provenance: [none, invalid, lost, changed], verdict: hold}]"
_LESS = "[{projects: [public-lib], provenance: [lost, changed], verdict: hold}]"
_EVIL = {"kind": "GitHub", "repository": "evil/web", "workflow": "release.yml"}
_ACME = _EVIL | {"repository": "acme/web"}
_UNKNOWN = "it is not known yet whether policy.rules[1] applies"


def attested(name: str, content: bytes, publisher: dict[str, str] = _ACME, by: Sigstore | None = None) -> bytes:
    url = f"https://github.com/{publisher['repository']}"
    claims = job(repository=url, workflow=f"{url}/.github/workflows/release.yml@{REF}")
    payload = statement(name, hashlib.sha256(content).hexdigest())
    return provenance(publisher, (by or sigstore()).attestation(claims, payload))


@pytest.fixture
def asking(public: PublicIndex, settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Settings; both files are attested by the same publisher."""
    (tmp_path / "root.json").write_bytes(sigstore().root)
    public.provenance = {NAME: attested(NAME, CONTENT), OLD: attested(OLD, OLD_CONTENT)}
    more = {"policy.min_age": "0", "policy.rules": _ALL, "publish.sigstore_root": str(tmp_path / "root.json")}
    return settings | more


def source(gateway: Gateway) -> ProvenanceSource:
    assert gateway.mount.fallback is not None
    index = gateway.mount.fallback.upstream
    assert isinstance(index, ScreenedIndex)
    found = index.screen.source(ProvenanceSource)
    assert found is not None
    return found


def asked(public: PublicIndex) -> list[str]:
    return sorted(path.removeprefix("/files/") for _, path in public.requests if path.endswith(".provenance"))


async def told(gateway: Gateway) -> Any:
    return {name: verdict["reason"] for name, verdict in (await page(gateway)).get("_policy", {}).items()}


async def test_what_is_attested_comes_in(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    gateway = await started(start_gateway, asking, clock)
    assert await shown(gateway) == [OLD, NAME]
    assert (await get(gateway, FILE)).body == CONTENT
    assert (await get(gateway, f"{FILE}.metadata")).status == 200
    assert asked(public) == [f"{OLD}.provenance", f"{NAME}.provenance"]
    assert await told(gateway) == {}


@pytest.mark.parametrize(
    "document",
    [
        None,
        attested(NAME, b"other"),
        attested(NAME, CONTENT, by=Sigstore()),
        attested(NAME, CONTENT, _EVIL),
        b'{"a":' * 200_000,
    ],
    ids=["none", "bytes", "root", "publisher", "deep"],
)
async def test_what_is_not_attested_as_before_is_held(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex, document: bytes | None
) -> None:
    public.provenance.pop(NAME)
    if document is not None:
        public.provenance[NAME] = document
    gateway = await started(start_gateway, asking | {"policy.rules": _LESS}, clock)
    assert await shown(gateway) == [OLD]
    assert await told(gateway) == {NAME: "policy.rules[1] says so"}
    for target in (FILE, f"{FILE}.metadata"):
        assert (await get(gateway, target)).status == 403


async def test_what_was_never_attested_is_no_less_than_before(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    public.provenance = {NAME: public.provenance[NAME]}
    gateway = await started(start_gateway, asking | {"policy.rules": _LESS}, clock)
    assert await shown(gateway) == [OLD, NAME]
    public.provenance = {}
    gateway = await started(start_gateway, asking | {"policy.rules": _LESS}, clock)
    assert await shown(gateway) == [OLD, NAME]
    gateway = await started(start_gateway, asking, clock)
    assert await shown(gateway) == []


@pytest.mark.parametrize("turned", [False, True])
async def test_what_attests_a_file_does_not_attest_another_one_of_its_name(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex, *, turned: bool
) -> None:
    evil = b"other bytes"
    public.projects["public-lib"]["evil"] = evil
    listed = json.loads(public._json("public-lib", public.projects["public-lib"]))["files"]
    right, old, other = listed
    other |= {"filename": NAME}
    public.page = {"files": [old, right, other] if turned else [old, other, right]}
    others = (
        "[{projects: [public-lib], provenance: ['github:acme/*'], verdict: allow}, {versions: '>1', verdict: deny}]"
    )
    for rules in (_LESS, _ALL, others):
        gateway = await started(start_gateway, asking | {"policy.rules": rules}, clock)
        assert await shown(gateway) == [OLD]
        assert (await get(gateway, FILE)).status == 403
    assert asked(public) == [f"{OLD}.provenance"]


async def test_only_files_of_a_publisher(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    public.provenance[NAME] = attested(NAME, CONTENT, _EVIL)
    rules = (
        "[{projects: [public-lib], provenance: ['github:Acme/*'], verdict: allow}, {projects: ['*'], verdict: deny}]"
    )
    gateway = await started(start_gateway, asking | {"policy.rules": rules}, clock)
    assert await shown(gateway) == [OLD]
    assert (await get(gateway, FILE)).status == 403


@pytest.mark.parametrize("fault", [404, 500, "huge", "elsewhere", "page"])
async def test_what_can_t_be_read_is_not_known_until_it_can(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex, fault: int | str
) -> None:
    right = public.provenance[NAME]
    if isinstance(fault, int):
        public.faulty = {f"{NAME}.provenance": fault}
    elif fault == "huge":
        public.provenance[NAME] = right + b" " * 1024 * 1024
    elif fault == "page":
        public.provenance[NAME] = b"<!DOCTYPE html>\n<title>Log in</title>"
    else:
        public.fields[NAME] |= {"provenance": "http://169.254.169.254/latest/meta-data"}
    gateway = await started(start_gateway, asking, clock)
    assert await told(gateway) == {NAME: _UNKNOWN}
    answer = await get(gateway, FILE)
    assert answer.status == 403
    assert _UNKNOWN in answer.body.decode()
    public.faulty, public.provenance[NAME] = {}, right
    public.fields[NAME].pop("provenance", None)
    assert await shown(gateway) == [OLD, NAME]
    assert (await get(gateway, FILE)).status == 200


async def test_a_page_does_not_wait_for_a_slow_index(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex, faulty: FaultyBucket
) -> None:
    gateway = await started(start_gateway, asking, clock)
    source(gateway)._patience = 0.01
    public.hold = asyncio.Event()
    assert await told(gateway) == {NAME: _UNKNOWN, OLD: _UNKNOWN}
    assert source(gateway).state() == {"files that are being looked up": 2}
    answer = json.loads((await get(gateway, "/-/policy")).body)
    assert answer["sources"]["provenance"] == {"files that are being looked up": 2}
    public.hold.set()
    await faulty.until(lambda: KEY in faulty.objects)
    assert await shown(gateway) == [OLD, NAME]
    assert asked(public) == [f"{OLD}.provenance", f"{NAME}.provenance"]


async def test_a_file_does_not_wait_for_the_provenance_of_others(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    gateway = await started(start_gateway, asking, clock)
    source(gateway)._patience = 60.0
    public.hold, public.hold_only = asyncio.Event(), {f"{NAME}.provenance"}
    assert (await asyncio.wait_for(get(gateway, f"/public-lib/{OLD}"), 20)).body == OLD_CONTENT
    assert source(gateway).state() == {"files that are being looked up": 1}
    public.hold.set()
    assert await shown(gateway) == [OLD, NAME]


async def test_it_is_verified_once_for_all_gateways(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex, faulty: FaultyBucket
) -> None:
    public.provenance[NAME] = attested(NAME, b"other")
    one = await started(start_gateway, asking, clock)
    assert await shown(one) == [OLD]
    await faulty.until(lambda: KEY in faulty.objects)
    public.provenance = dict.fromkeys(public.provenance, b"")
    other = await started(start_gateway, asking, clock)
    assert await shown(other) == [OLD]
    assert len(asked(public)) == 2
    assert (await get(other, f"/{KEY}")).status == 404


async def test_it_is_remembered_in_the_disk_cache(
    start_gateway: StartGateway,
    asking: dict[str, str],
    clock: Clock,
    public: PublicIndex,
    faulty: FaultyBucket,
    tmp_path: Path,
) -> None:
    cached = asking | {"cache.dir": str(tmp_path / "cache")}
    one = await started(start_gateway, cached, clock)
    assert await shown(one) == [OLD, NAME]
    await source(one).close()
    del faulty.objects[KEY]
    other = await started(start_gateway, cached, clock)
    assert await shown(other) == [OLD, NAME]
    assert len(asked(public)) == 2


async def test_of_other_projects_nothing_is_fetched(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    for rules in (_ALL.replace("public-lib", "other"), _ALL.replace("verdict", "upstreams: [pypi.org], verdict")):
        gateway = await started(start_gateway, asking | {"policy.rules": rules}, clock)
        assert await shown(gateway) == [OLD, NAME]
    assert asked(public) == []


async def test_an_index_of_html_offers_provenance_too(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    digest = {name: hashlib.sha256(content).hexdigest() for name, content in public.projects["public-lib"].items()}
    links = [
        f'<a href="../../files/{name}#sha256={digest[name]}" data-provenance="../../files/{name}.provenance">{name}</a>'
        for name in (NAME, OLD)
    ]
    public.form, public.body = "html", f"<html><body>{''.join(links)}</body></html>".encode()
    public.provenance[NAME] = attested(NAME, b"other")
    gateway = await started(start_gateway, asking, clock)
    assert await shown(gateway) == [OLD]


async def test_without_a_hash_nothing_is_attested(
    start_gateway: StartGateway, asking: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    public.algorithm = "md5"
    gateway = await started(start_gateway, asking, clock)
    assert await shown(gateway) == []
    assert asked(public) == []


async def test_commands_wait_for_what_is_found(asking: dict[str, str], tmp_path: Path, public: PublicIndex) -> None:
    public.provenance[NAME] = attested(NAME, CONTENT, _EVIL)
    async with judging(load(asking, environ={}, cwd=tmp_path)) as judge:
        found = await judge.project("public-lib")
    assert {name: verdict.action.value for name, verdict in found.verdicts.items()} == {NAME: "hold"}


async def test_without_the_extra_the_start_says_what_to_install(
    start_gateway: StartGateway, asking: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gateway.publish.attestations.verifier", None)
    with pytest.raises(ConfigError, match=r"policy\.rules.*pip install 's3-package-gateway\[attestations\]'"):
        await start_gateway(asking)
    await start_gateway(asking | {"policy.rules": "[{projects: [public-lib], verdict: hold}]"})


async def test_a_root_that_is_none_stops_the_start(
    start_gateway: StartGateway, asking: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "root.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"publish\.sigstore_root.*is no trusted root"):
        await start_gateway(asking)
