"""Where `gateway publish` sends files: to a gateway, or into the storage."""

import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp

from gateway.cli.publish.prepared import Prepared, pieces
from gateway.cli.publish.progress import Progress
from gateway.errors import (
    BadRequestError,
    FileExistsConflictError,
    GatewayError,
    ProjectClosedError,
    UpstreamError,
)
from gateway.publish.attestations.field import IGNORED
from gateway.publish.condition.condition import Condition
from gateway.publish.content import Content
from gateway.publish.inspection import Inspection
from gateway.publish.publisher import Publisher
from gateway.publish.rules import Rules

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=900)
_MAX_ANSWER = 2000


class Destination(Protocol):
    async def send(self, prepared: Prepared, progress: Progress) -> bool:
        """Whether the file is new there. Raises FileExistsConflictError if another has its name, other GatewayErrors,
        and OSError."""


class InStorage:
    """The storage of the configuration, by the same path that uploads take."""

    def __init__(self, publisher: Publisher, condition: Condition, rules: Rules, uploader: str) -> None:
        self._publisher = publisher
        self._condition = condition
        self._rules = rules
        self._uploader = uploader
        self.published = set[str]()  # projects that have files of which gateways may not know

    async def send(self, prepared: Prepared, progress: Progress) -> bool:
        release = prepared.release
        conditional = await self._condition.demand(prepared.size)
        with prepared.path.open("rb") as file:
            content = Content(progress.of(prepared, pieces(file)), Inspection(release, self._rules), prepared.size)
            key = await self._publisher.key(release)
            try:
                published = await self._publisher.publish(
                    key, release, content, self._uploader, overwrite=False, conditional=conditional
                )
            finally:
                # It may be there, though what comes after that has failed, or was ended. If it was there before,
                # whoever wrote it may have been killed before telling anybody.
                if content.sha256:
                    self.published.add(release.project)
        return published.new


class AtGateway:
    """A gateway that takes uploads."""

    def __init__(self, session: aiohttp.ClientSession, url: str, user: str | None, password: str) -> None:
        self._session = session
        self._url = url
        self._headers = {}
        if user is not None:
            self._headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()

    async def send(self, prepared: Prepared, progress: Progress) -> bool:
        with prepared.path.open("rb") as file:
            return await self._send(prepared, progress.of(prepared, pieces(file)))

    async def _send(self, prepared: Prepared, content: AsyncIterator[bytes]) -> bool:
        form = aiohttp.MultipartWriter("form-data")
        for name, value in _fields(prepared).items():
            form.append(value).set_content_disposition("form-data", name=name)
        file = form.append_payload(_FilePayload(content, prepared.size))
        # As it is: quoted, it would have %2B in place of the + of a local version. No character of it means anything.
        name = prepared.path.name
        file.set_content_disposition("form-data", quote_fields=False, name="content", filename=name)
        try:
            async with self._session.post(
                self._url, data=form, headers=self._headers, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                text = (await answer.text(errors="replace"))[:_MAX_ANSWER].strip()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UpstreamError(f"{type(error).__name__}: {error}") from error
        if answer.status == 409:
            raise FileExistsConflictError(filename=prepared.path.name)
        if answer.status != 200:
            raise GatewayError(text.partition("\n")[0] or f"{answer.status} {answer.reason}")
        if not text.startswith(f"{prepared.path.name} is "):  # a proxy's page, on which somebody has to log in
            raise GatewayError("the answer is 200, but not that of a gateway: see --to")
        if prepared.attestations and IGNORED in text:
            print(f"{prepared.path.name}: the gateway has ignored its attestations", file=sys.stderr)
        return text.startswith(f"{prepared.path.name} is published")


class _FilePayload(aiohttp.Payload):
    """The bytes of a file whose length is known, so that the request has a Content-Length."""

    def __init__(self, chunks: AsyncIterator[bytes], size: int) -> None:
        super().__init__(chunks, content_type="application/octet-stream")
        self._size = size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file is not text")

    async def write(self, writer: aiohttp.abc.AbstractStreamWriter) -> None:
        async for chunk in self._value:
            await writer.write(chunk)


def _fields(prepared: Prepared) -> dict[str, str]:
    release = prepared.release
    name, version = release.stem.split("-")[:2]
    kind = ("bdist_wheel", release.stem.split("-")[-3]) if release.is_wheel else ("sdist", "source")
    return {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": name,
        "version": version,
        "filetype": kind[0],
        "pyversion": kind[1],
        "requires_python": release.requires_python or "",
        **{f"{algorithm}_digest": digest for algorithm, digest in release.digests.items()},
        **({"attestations": f"[{','.join(prepared.attestations)}]"} if prepared.attestations else {}),
    }


def why(error: Exception) -> str:
    """For the person at the command line."""
    if isinstance(error, BadRequestError | FileExistsConflictError | ProjectClosedError):
        return error.public
    if isinstance(error, GatewayError):
        return error.detail or error.public
    return str(error)
