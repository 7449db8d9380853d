"""Attestations that come with uploads to a gateway."""

import asyncio
import hashlib
import json
import random
import subprocess
import sys
import threading
import time
import zipfile
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import BadRequestError, ConfigError, UpstreamBusyError
from gateway.principal import Principal, Right, Scope
from gateway.publish.attestations import attestations
from gateway.publish.attestations.attestations import Attestations
from gateway.publish.attestations.verifier import Verifier
from gateway.publish.form import UploadForm
from tests.conftest import StartGateway
from tests.support.faults import Answer, FaultyBucket, error, healthy, on
from tests.support.jobs import AUDIENCE, trusting
from tests.support.jobs import KEY as TOKEN_KEY
from tests.support.sigstore import PUBLISH, SLSA, job, sigstore, statement
from tests.support.uploads import FORM, upload, wheel


def _large(summary: str) -> bytes:
    """So large that fields behind the file arrive after those before it have been read."""
    buffer = BytesIO(wheel("acme_web", "1.0", summary=summary)[1])
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("data.bin", random.Random(1).randbytes(1_000_000))
    return buffer.getvalue()


FILE, CONTENT, OTHER = "acme_web-1.0-py3-none-any.whl", _large("one"), _large("another")
KEY, PROVENANCE = f"acme-web/{FILE}", f"acme-web/{FILE}.provenance"
SOURCE = '{"kind":"GitHub","repository":"acme/web","workflow":"release.yml"}'
_PUBLISHER = {"kind": "github", "repository": "acme/web", "workflow": "release.yml", "projects": ["acme-*"]}
_REPLACING = {"publish.overwrite": "everyone"}


def verifying(root: Path, mode: str = "verify") -> dict[str, str]:
    return trusting(_PUBLISHER) | {"publish.attestations": mode, "publish.sigstore_root": str(root)}


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path
) -> Gateway:
    return await start_gateway(faulty_settings | verifying(root))


def attested(content: bytes = CONTENT, *kinds: str) -> str:
    digest = hashlib.sha256(content).hexdigest()
    found = [sigstore().attestation(job(), statement(FILE, digest, kind)) for kind in kinds or (PUBLISH,)]
    return json.dumps(found)


def of_job(source: str = SOURCE) -> dict[str, str]:
    """What a job sends as its password."""
    scope = Scope(frozenset({Right.WRITE}), ("acme-*",), grants=AUDIENCE, source=source)
    claims = Claims("github:acme/web", "id", scope, int(time.time()) + 600)
    return {"Authorization": f"Basic {b64encode(f'__token__:{issue(claims, parse_key(TOKEN_KEY))}'.encode()).decode()}"}


async def sent(
    gateway: Gateway, field: str | None = None, content: bytes = CONTENT, *, late: bool = True, source: str = SOURCE
) -> tuple[int, str]:
    """Status and text of the answer to an upload; `late`: its attestations follow the file, as uv sends them."""
    given = {"attestations": field} if field is not None else {}
    before, after = ({}, given) if late else (given, {})
    status, _, text = await upload(gateway.url, FILE, content, before, headers=of_job(source), after=after)
    return status, text


async def announced(gateway: Gateway) -> str | None:
    """The URL that the project's page has for the provenance of the file."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/", headers=accept) as answer:
        (file,) = (await answer.json(content_type=None))["files"]
        return cast("str | None", file.get("provenance"))


def subject(faulty: FaultyBucket) -> str:
    """The hash that the stored provenance is about."""
    return _subject(faulty.objects[PROVENANCE])


def _subject(provenance: bytes) -> str:
    (bundle,) = json.loads(provenance)["attestation_bundles"]
    texts = [item["envelope"]["statement"] for item in bundle["attestations"]]
    (found,) = {json.loads(b64decode(text))["subject"][0]["digest"]["sha256"] for text in texts}
    return str(found)


def written(faulty: FaultyBucket) -> list[tuple[str, str]]:
    """What has happened to the file and its provenance."""
    changes = [request for request in faulty.requests if request.method in ("PUT", "DELETE")]
    return [(request.method, request.key) for request in changes if request.key.startswith("acme-web/")]


@pytest.mark.parametrize("late", [True, False])
async def test_they_are_served_as_provenance_which_is_written_when_the_file_is_there(
    gateway: Gateway, faulty: FaultyBucket, late: bool
) -> None:
    assert await sent(gateway, attested(CONTENT, PUBLISH, SLSA), late=late) == (200, f"{FILE} is published\n")
    assert written(faulty) == [("PUT", KEY), ("PUT", PROVENANCE)]
    put = next(request for request in faulty.requests if request.method == "PUT" and request.key == PROVENANCE)
    assert put.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"
    assert put.headers["if-none-match"] == "*"
    url = await announced(gateway)
    assert url == f"{gateway.url}/{PROVENANCE}"
    async with aiohttp.request("GET", url) as answer:
        served = json.loads(await answer.text())
    assert served["version"] == 1
    (bundle,) = served["attestation_bundles"]
    assert bundle["publisher"]["repository"] == "acme/web"
    assert len(bundle["attestations"]) == 2
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/", headers={"Accept": "text/html"}) as answer:
        assert f'data-provenance="{url}"' in await answer.text()


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("field", [attested(OTHER), "[7]", "[", "{}"])
async def test_nothing_is_published_with_one_that_is_wrong(
    gateway: Gateway, faulty: FaultyBucket, field: str, late: bool
) -> None:
    status, text = await sent(gateway, field, late=late)
    assert (status, "Invalid upload: " in text) == (400, True)
    assert faulty.objects == {}


async def test_they_come_once(gateway: Gateway, faulty: FaultyBucket) -> None:
    given = {"attestations": attested()}
    status, _, text = await upload(gateway.url, FILE, CONTENT, given, headers=of_job(), after=given)
    assert (status, "more than once" in text) == (400, True)
    assert faulty.objects == {}


@pytest.mark.parametrize("late", [True, False])
async def test_they_need_a_trusted_publisher_and_files_without_them_do_not(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path, late: bool
) -> None:
    gateway = await start_gateway(faulty_settings | verifying(root) | {"access.default_write": "everyone"})
    status, text = await sent(gateway, attested(), late=late, source="")
    assert (status, "trusted publishers only" in text) == (400, True)
    status, text = await sent(gateway, attested(), late=late, source='{"kind":"Issuer","issuer":"https://x.example"}')
    assert (status, "kind github and gitlab only" in text) == (400, True)
    assert faulty.objects == {}
    assert await sent(gateway, "[]", late=late, source="") == (200, f"{FILE} is published\n")
    assert [*faulty.objects] == [KEY]
    assert await announced(gateway) is None


async def test_the_token_of_a_user_is_nobody_s_job(verifier: Verifier) -> None:
    """Whatever it says where it comes from: only tokens that jobs get grant rights by themselves."""
    form = UploadForm(FORM["Content-Type"], 1000)
    form._fields["attestations"] = [attested().encode()]
    scope = Scope(frozenset({Right.WRITE}), source=SOURCE)
    with pytest.raises(BadRequestError, match="trusted publishers only"):
        Attestations(verifier, required=False).of(form, FILE, Principal("bob", scope=scope))


async def test_they_are_ignored_where_nobody_has_turned_them_on_and_that_is_told(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | trusting(_PUBLISHER))
    for late in (True, False):
        status, text = await sent(gateway, "[7]", late=late)
        assert (status, "attestations were ignored" in text) == (200, True)
    assert "ignored" not in (await sent(gateway, "[]"))[1]
    assert [*faulty.objects] == [KEY]


async def test_they_can_be_required(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path
) -> None:
    settings = verifying(root, "require") | {"access.default_write": "everyone"}
    gateway = await start_gateway(faulty_settings | settings)
    for field, source, why in (
        (None, SOURCE, "without attestations are not taken"),
        ("[]", SOURCE, "without attestations are not taken"),
        (None, "", "with attestations only, which only trusted publishers have"),
        (None, '{"kind":"Issuer"}', "kind github and gitlab only"),
    ):
        status, text = await sent(gateway, field, source=source)
        assert (status, why in text) == (400, True)
    assert faulty.objects == {}
    assert (await sent(gateway, attested()))[0] == 200
    assert {*faulty.objects} == {KEY, PROVENANCE}


async def test_the_same_upload_again_adds_what_a_failure_left_out_and_the_page_has_it(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    faulty.of_key[PROVENANCE] = error(403, "AccessDenied")
    assert (await sent(gateway, attested()))[0] == 502
    assert [*faulty.objects] == [KEY]
    assert await announced(gateway) is None
    del faulty.of_key[PROVENANCE]
    assert await sent(gateway, attested()) == (200, f"{FILE} is there already, with the same content\n")
    assert await announced(gateway) == f"{gateway.url}/{PROVENANCE}"
    before = faulty.objects[PROVENANCE]
    assert (await sent(gateway, attested()))[0] == 200
    assert (await sent(gateway))[0] == 200
    assert faulty.objects[PROVENANCE] == before


async def test_another_gateway_with_all_its_caches_sees_what_comes_and_changes(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path
) -> None:
    slow = {"index.refresh": "3600", "cache.memory_bytes": "1048576", "publish.beacon": "true"}
    settings = faulty_settings | verifying(root) | _REPLACING | slow | {"storage.redirect_urls": "false"}
    here, there = await start_gateway(settings), await start_gateway(settings)

    async def served(gateway: Gateway) -> str | None:
        """The hash that the provenance is about which the page leads to."""
        if (url := await announced(gateway)) is None:
            return None
        async with aiohttp.request("GET", url) as answer:
            return _subject(await answer.read()) if answer.status == 200 else str(answer.status)

    async def see(digest: str | None) -> None:
        async with asyncio.timeout(10):
            for gateway in (here, there):
                while await served(gateway) != digest:  # noqa: ASYNC110  pages tell nobody
                    await asyncio.sleep(0.02)

    faulty.of_key[PROVENANCE] = error(403, "AccessDenied")
    assert (await sent(here, attested()))[0] == 502
    await see(None)
    del faulty.of_key[PROVENANCE]
    assert (await sent(here, attested()))[0] == 200
    await see(hashlib.sha256(CONTENT).hexdigest())
    assert (await sent(there, attested(OTHER), OTHER))[0] == 200
    await see(hashlib.sha256(OTHER).hexdigest())
    assert (await sent(here, None, CONTENT))[0] == 200
    await see(None)


@pytest.mark.parametrize("stale", [True, False])
async def test_a_file_that_replaces_another_does_not_keep_its_provenance(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path, stale: bool
) -> None:
    gateway = await start_gateway(faulty_settings | verifying(root) | _REPLACING)
    assert (await sent(gateway, attested()))[0] == 200
    del faulty.requests[:]
    if stale:
        assert (await sent(gateway, None, OTHER))[0] == 200
        assert written(faulty) == [("DELETE", PROVENANCE), ("PUT", KEY)]
        assert faulty.objects == {KEY: OTHER}
        assert await announced(gateway) is None
    else:
        assert (await sent(gateway, attested(OTHER), OTHER))[0] == 200
        assert written(faulty) == [("DELETE", PROVENANCE), ("PUT", KEY), ("PUT", PROVENANCE)]
        assert subject(faulty) == hashlib.sha256(OTHER).hexdigest()
        assert (await sent(gateway, None, OTHER))[0] == 200
        assert {*faulty.objects} == {KEY, PROVENANCE}


async def test_what_another_writer_leaves_meanwhile_does_not_stay_either(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path
) -> None:
    gateway = await start_gateway(faulty_settings | verifying(root) | _REPLACING)
    assert (await sent(gateway, attested()))[0] == 200
    theirs = faulty.objects[PROVENANCE]

    async def late(answer: Answer) -> None:
        answer.bucket.objects[PROVENANCE] = theirs
        await healthy(answer)

    faulty.of_key[KEY] = on("PUT", late)
    assert (await sent(gateway, None, OTHER))[0] == 200
    assert faulty.objects == {KEY: OTHER}


@pytest.mark.parametrize("theirs", [OTHER, None])
async def test_a_file_that_is_replaced_or_deleted_before_its_provenance_is_written_leaves_none(
    gateway: Gateway, faulty: FaultyBucket, theirs: bytes | None
) -> None:
    """By somebody who may, while the job that has uploaded it may not."""

    async def late(answer: Answer) -> None:
        await healthy(answer)
        del faulty.of_key[PROVENANCE]
        if theirs is None:
            del faulty.objects[KEY]
        else:
            faulty.objects[KEY] = theirs
            faulty.headers[KEY] = []

    faulty.of_key[PROVENANCE] = on("PUT", late)
    assert (await sent(gateway, attested()))[0] == 200
    assert faulty.objects == ({KEY: theirs} if theirs is not None else {})


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_new_file_does_not_get_what_a_lost_one_has_left(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path, forgotten: bool
) -> None:
    gateway = await start_gateway(faulty_settings | verifying(root))
    assert (await sent(gateway, attested()))[0] == 200
    del faulty.objects[KEY]
    assert (await sent(gateway))[0] == 200
    assert {*faulty.objects} == {KEY, PROVENANCE}, "it has the same bytes"
    del faulty.objects[KEY]
    if forgotten:  # alone, it makes no project
        gateway = await start_gateway(faulty_settings | verifying(root))
    assert (await sent(gateway, None, OTHER))[0] == 200
    assert faulty.objects == {KEY: OTHER}
    assert await announced(gateway) is None


async def test_a_replacement_that_fails_before_its_end_takes_nothing_away(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], root: Path
) -> None:
    gateway = await start_gateway(faulty_settings | verifying(root) | _REPLACING)
    assert (await sent(gateway, attested()))[0] == 200
    before = dict(faulty.objects)
    assert (await sent(gateway, "[7]", OTHER))[0] == 400
    assert faulty.objects == before


class Slow:
    """A verifier that takes as long as the test says."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def provenance(self, *_: object) -> bytes:
        self.go_on.wait(20)
        return b"{}"


async def test_an_upload_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attestations, "_SECONDS", 0.02)
    form, slow = UploadForm(FORM["Content-Type"], 1000), Slow()
    form._fields["attestations"] = [b"[{}]"]
    scope = Scope(frozenset({Right.WRITE}), grants=AUDIENCE, source=SOURCE)
    found = Attestations(cast(Any, slow), required=False).of(form, FILE, Principal("job", scope=scope))
    form.forget_fields()
    with pytest.raises(UpstreamBusyError, match="not verified within"):
        await found.verify("ab" * 32)
    assert found.provenance is None
    monkeypatch.setattr(attestations, "_SECONDS", 10.0)
    slow.go_on.set()
    await asyncio.wait_for(found.verify("ab" * 32), 10)
    assert found.provenance == b"{}"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"mediaType": "application/json"}'])
async def test_a_root_that_is_none_stops_the_start(
    start_gateway: StartGateway, faulty_settings: dict[str, str], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "root.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"publish\.sigstore_root.*is no trusted root"):
        await start_gateway(faulty_settings | verifying(path))


async def test_without_the_extra_the_start_says_what_to_install(
    start_gateway: StartGateway, faulty_settings: dict[str, str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gateway.publish.attestations.verifier", None)
    with pytest.raises(ConfigError, match=r"pip install 's3-package-gateway\[publish,access,attestations\]'"):
        await start_gateway(faulty_settings | verifying(root))


def test_they_take_trusted_publishers(tmp_path: Path) -> None:
    settings = {"publish.enabled": "true", "publish.allow_anonymous": "true", "publish.attestations": "verify"}
    with pytest.raises(ConfigError, match=r"publish\.trusted .*is needed with publish\.attestations"):
        load(settings, environ={}, cwd=tmp_path)


def test_where_they_are_ignored_nothing_of_the_library_is_imported() -> None:
    code = "import sys; import gateway.publish.build, gateway.publish.uploads, gateway.publish.publisher; "
    code += "print([name for name in ('sigstore', 'pypi_attestations', 'cryptography') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
