"""uv, pdm and twine publish by a job's token, as they do in GitHub Actions: over TLS, with an issuer on loopback.

poetry, hatch and flit know no trusted publishing. twine knows it, but asks for it only of PyPI's own addresses.
"""

import asyncio
import hashlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.certificates import self_signed
from tests.support.issuer import Issuer
from tests.support.jobs import AUDIENCE, github, gitlab, publisher, token, trusting
from tests.support.process import GatewayProcess, clean_environment
from tests.support.sigstore import PUBLISH, SLSA, sigstore, statement
from tests.support.sigstore import job as certified
from tests.support.wheels import sdist, wheel

WHEEL, SDIST = "acme_web-1.0-py3-none-any.whl", "acme_web-1.0.tar.gz"
_TOOLS = Path(sys.executable).parent
_TWINE = """
import sys
from twine.auth import CredentialInput, Resolver
resolver = Resolver({"repository": sys.argv[1]}, CredentialInput("__token__"))
print(resolver.make_trusted_publishing_token())
"""


class Runner(Issuer):
    """An issuer that gives a job its token, as the runner of GitHub Actions does at ACTIONS_ID_TOKEN_REQUEST_URL."""

    audience = ""
    said: Mapping[str, Any] = github()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/job-token":
            return await super()._handle(request)
        assert request.headers["Authorization"].lower() == "bearer of-the-job"
        self.audience = request.query["audience"]
        return web.json_response({"value": token(self, dict(self.said), aud=self.audience)})


class Job:
    """What a job has: files, the variables of its runner, and a gateway that trusts it."""

    def __init__(self, process: GatewayProcess, url: str, runner: Runner, directory: Path, bucket: Bucket) -> None:
        self.process, self.url, self.runner, self.directory, self.bucket = process, url, runner, directory, bucket

    async def run(self, *command: str, **more: str) -> "subprocess.CompletedProcess[str]":
        variables = clean_environment(self.directory) | {
            "PATH": f"{_TOOLS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.runner.url}/job-token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
            "SSL_CERT_FILE": str(self.directory / "certificate.pem"),
            "REQUESTS_CA_BUNDLE": str(self.directory / "certificate.pem"),
            "PDM_CHECK_UPDATE": "0",
            **more,
        }
        run = partial(subprocess.run, capture_output=True, text=True, timeout=120, check=False)
        return await asyncio.to_thread(run, command, cwd=self.directory, env=variables)

    async def presented(self, text: str, times: int) -> list[int]:
        """The statuses of the answers to a token that is presented so often at once."""

        async def mint() -> int:
            async with session.post(f"{self.url}/_/oidc/mint-token", json={"token": text}, ssl=False) as answer:
                return answer.status

        async with aiohttp.ClientSession() as session:
            return sorted(await asyncio.gather(*(mint() for _ in range(times))))

    def attest(self, file: str, *kinds: str, repository: str = "acme/web") -> None:
        """Puts attestations beside a file, as the action that makes them does."""
        digest = hashlib.sha256((self.directory / "dist" / file).read_bytes()).hexdigest()
        url = f"{self.runner.url}/{repository}"
        workflow = f"{url}/.github/workflows/release.yml@refs/tags/v1.0"
        claims = certified(issuer=self.runner.url, repository=url, workflow=workflow)
        for kind in kinds:
            made = sigstore().attestation(claims, statement(file, digest, kind))
            name = {PUBLISH: "publish", SLSA: "slsa"}[kind]
            (self.directory / "dist" / f"{file}.{name}.attestation").write_text(json.dumps(made))

    async def provenance(self) -> dict[str, Any]:
        """What the page of the project leads to, by file."""
        found = {}
        async with aiohttp.ClientSession(headers={"Accept": "application/vnd.pypi.simple.v1+json"}) as session:
            async with session.get(f"{self.url}/simple/acme-web/", ssl=False) as answer:
                files = (await answer.json(content_type=None))["files"]
            for url in filter(None, (file.get("provenance") for file in files)):
                async with session.get(url, ssl=False) as answer:
                    assert answer.content_type == "application/vnd.pypi.integrity.v1+json"
                    found[url.rpartition("/")[2]] = json.loads(await answer.text())
        return found

    def uploaders(self) -> dict[str, str]:
        """Who published which file, and from which commit; HOST stands for the issuer's."""
        issuer, client, name = quote(self.runner.url.removeprefix("https://")), self.bucket.client, self.bucket.name
        listed = client.list_objects_v2(Bucket=name, Prefix="acme-web/")["Contents"]
        keys = [item["Key"] for item in listed if not item["Key"].endswith(".provenance")]
        found = {key: client.head_object(Bucket=name, Key=key)["Metadata"] for key in keys}
        return {
            key.rpartition("/")[
                2
            ]: f"{said['uploader'].replace(issuer, 'HOST')} {json.loads(said['publisher'])['sha'][:7]}"
            for key, said in found.items()
        }


@pytest.fixture
async def job(start_process: StartProcess, bucket: Bucket, tmp_path: Path) -> AsyncIterator[Job]:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    runner = Runner()
    await runner.start(tls=context)
    (tmp_path / "dist").mkdir()
    for file, content in (wheel("acme_web", "1.0"), sdist("acme_web", "1.0", setup="# two files")):
        (tmp_path / "dist" / file).write_bytes(content)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "acme-web"\nversion = "1.0"\n')
    tls = {"server.tls_cert": str(certificate), "server.tls_key": str(key)}
    of_gitlab = {"kind": "gitlab", "issuer": runner.url, "repository": "acme/tools/web", "projects": ["acme-web"]}
    settings = trusting(publisher(runner, environment="Release"), of_gitlab) | tls
    (tmp_path / "root.json").write_bytes(sigstore().root)
    settings |= {"publish.attestations": "verify", "publish.sigstore_root": str(tmp_path / "root.json")}
    process = start_process(bucket.settings() | settings, {"SSL_CERT_FILE": str(certificate)})
    try:
        url = await asyncio.to_thread(process.wait_until_it_listens)
        yield Job(process, url, runner, tmp_path, bucket)
    finally:
        await asyncio.to_thread(process.stop)  # its connections to the issuer end properly then
        await runner.stop()


_BY = "github@HOST%3Aacme%2Fweb%2F.github%2Fworkflows%2Frelease.yml@refs%2Ftags%2Fv1.0 5d41402"


async def test_uv_publishes_without_a_password_and_is_told_why_it_may_not(job: Job) -> None:
    where = "--publish-url", f"{job.url}/legacy/", "--check-url", f"{job.url}/simple/"
    uv = "uv", "publish", "--no-cache", "--trusted-publishing", "always", *where
    job.runner.said = github(environment="staging")
    refused = await job.run(*uv, "dist/*")
    assert refused.returncode != 0
    assert "the environment is not Release" in " ".join((refused.stdout + refused.stderr).split())
    job.runner.said = github()
    told = await job.run(*uv, "dist/*")
    assert told.returncode == 0, told.stdout + told.stderr
    assert job.runner.audience == AUDIENCE
    assert job.uploaders() == dict.fromkeys((WHEEL, SDIST), _BY)


async def test_uv_takes_the_token_of_a_job_of_gitlab(job: Job) -> None:
    uv = "uv", "publish", "--no-cache", "--trusted-publishing", "always", "--publish-url", f"{job.url}/legacy/"
    given = token(job.runner, gitlab(job.runner.url.removeprefix("https://")))
    told = await job.run(*uv, f"dist/{SDIST}", GITHUB_ACTIONS="", GITLAB_CI="true", ACME_PACKAGES_ID_TOKEN=given)
    assert told.returncode == 0, told.stdout + told.stderr
    # The bucket lets one of many in that present a token at once, and none that comes later.
    text = token(job.runner, gitlab(job.runner.url.removeprefix("https://")))
    assert await job.presented(text, 6) == [200] + [422] * 5
    assert await job.presented(text, 1) == [422]
    assert job.uploaders() == {SDIST: "gitlab@HOST%3Aacme%2Ftools%2Fweb%2F%2F.gitlab-ci.yml@refs%2Ftags%2Fv1.0 5d41402"}


async def test_pdm_publishes_and_what_twine_gets_publishes_too(job: Job) -> None:
    told = await job.run(sys.executable, "-c", _TWINE, f"{job.url}/legacy/")
    assert told.returncode == 0, told.stdout + told.stderr
    upload = (
        "twine",
        "upload",
        "--repository-url",
        f"{job.url}/legacy/",
        "-u",
        "__token__",
        "-p",
        told.stdout.split()[-1],
    )
    told = await job.run(*upload, f"dist/{WHEEL}")
    assert told.returncode == 0, told.stdout + told.stderr
    assert job.uploaders() == {WHEEL: _BY}
    told = await job.run("pdm", "publish", "--no-build", "-r", f"{job.url}/legacy/")
    assert told.returncode == 0, told.stdout + told.stderr
    assert job.uploaders() == dict.fromkeys((WHEEL, SDIST), _BY)


async def test_what_uv_and_the_command_find_beside_the_files_becomes_their_provenance(job: Job) -> None:
    uv = "uv", "publish", "--no-cache", "--trusted-publishing", "always", "--publish-url", f"{job.url}/legacy/"
    job.attest(SDIST, PUBLISH, repository="acme/other")
    refused = await job.run(*uv, f"dist/{SDIST}*")
    assert refused.returncode != 0
    assert "acme/other" in refused.stdout + refused.stderr
    for file, kinds in ((SDIST, (PUBLISH,)), (WHEEL, (PUBLISH, SLSA))):
        job.attest(file, *kinds)
    told = await job.run(*uv, f"dist/{SDIST}*")
    assert told.returncode == 0, told.stdout + told.stderr
    assert [*await job.provenance()] == [f"{SDIST}.provenance"]
    async with aiohttp.ClientSession() as session:
        given = {"token": token(job.runner, github())}
        async with session.post(f"{job.url}/_/oidc/mint-token", json=given, ssl=False) as answer:
            password = (await answer.json())["token"]
    command = sys.executable, "-m", "gateway", "publish", "--attestations", "--to", f"{job.url}/legacy/"
    files = f"dist/{WHEEL}", f"dist/{SDIST}"
    told = await job.run(*command, "--user", "__token__", *files, GATEWAY_PASSWORD=password)
    assert told.returncode == 0, told.stdout + told.stderr
    found = await job.provenance()
    assert {name: len(each["attestation_bundles"][0]["attestations"]) for name, each in found.items()} == {
        f"{SDIST}.provenance": 1,
        f"{WHEEL}.provenance": 2,
    }
    named = {
        "kind": "GitHubSelfManaged",
        "issuer": job.runner.url,
        "repository": "acme/web",
        "workflow": "release.yml",
        "environment": "release",
    }
    assert [each["attestation_bundles"][0]["publisher"] for each in found.values()] == [named, named]
