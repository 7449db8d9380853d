"""Where clients upload files: twine, uv, poetry, pdm, hatch, flit, and curl. https://docs.pypi.org/api/upload/"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Self

from multidict import MultiMapping

from gateway.access.access import Access
from gateway.access.login.own_pages import demand_no_foreign_page, is_own_script
from gateway.config.publish.settings import PublishSettings
from gateway.errors import (
    LengthRequiredError,
    RequestTimeoutError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.index.resources import Resources
from gateway.messages import BufferedResponse, RequestRecord
from gateway.principal import ANONYMOUS, Principal
from gateway.publish.attestations.field import IGNORED, has_attestations
from gateway.publish.condition.condition import Condition
from gateway.publish.content import Content, FormReader, too_large
from gateway.publish.form import MAX_FIELDS_BYTES, UploadForm
from gateway.publish.inspection import Inspection
from gateway.publish.memory import UploadMemory
from gateway.publish.publisher import Published, Publisher
from gateway.publish.release_file import ReleaseFile, release_file
from gateway.publish.rules import Rules
from gateway.publish.visibility import Visibility
from gateway.single_flight import retrieve_exception, to_its_end
from gateway.storage.s3.upload import PART_BYTES

if TYPE_CHECKING:  # without access control, trusted publishers, or attestations, nothing of them is imported
    from gateway.access.gate import Gate, Writer
    from gateway.publish.attestations.attestations import Attestations
    from gateway.publish.trusted.exchange import Exchange

# Of all uploads, and of a large one, which holds two parts of its file; how long others wait for theirs.
_MEMORY_BYTES, _UPLOAD_BYTES, _WAIT_SECONDS = 112 * 1024 * 1024, 24 * 1024 * 1024, 30.0
# What a file of one part takes, at most: it may all be a wheel's directory, which is kept beside what is to be written.
_TIMES_IN_MEMORY = 2
# Of all memory, what large ones leave to those of one part.
_SMALL_BYTES = _TIMES_IN_MEMORY * PART_BYTES
_SMALL_MEMORY_BYTES = 16 * 1024 * 1024
# The same for the fields, in front of the file: who may publish the project is known after them.
_FIELDS_MEMORY_BYTES, _FIELDS_SECONDS = 32 * 1024 * 1024, 30.0
# What a form may have besides its fields and the file: boundaries and headers.
_FRAMING_BYTES = 512 * 1024
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_TARGET = re.compile(r"/?|/(?:simple|legacy|pypi)/?")
_PAGE = re.compile(r"(?:/simple|/legacy|/pypi)?/\+simple/")

log = logging.getLogger("gateway.publish")


class UploadBudget:
    """The memory for uploads, for the `fields` of forms and for `files`: that of all mounts, or the share of one."""

    def __init__(self, fields: UploadMemory | None = None, files: UploadMemory | None = None) -> None:
        self.fields = fields or UploadMemory(_FIELDS_MEMORY_BYTES, MAX_FIELDS_BYTES, _WAIT_SECONDS)
        self.files = files or UploadMemory(
            _MEMORY_BYTES, _UPLOAD_BYTES, _WAIT_SECONDS, kept=_SMALL_MEMORY_BYTES, small=_SMALL_BYTES
        )

    def share(self) -> Self:
        """The part of a mount."""
        part = copy(self)
        part.fields, part.files = self.fields.share(), self.files.share()
        return part

    def leave(self) -> None:
        """There is no such mount any more."""
        for memory in (self.fields, self.files):
            memory.leave()


class Uploads:
    """Takes files, one a request."""

    def __init__(
        self,
        settings: PublishSettings,
        rules: Rules,
        publisher: Publisher,
        condition: Condition,
        access: Access,
        resources: Resources,
        visibility: Visibility,
        budget: UploadBudget,
        exchange: "Exchange | None" = None,
        attestations: "Attestations | None" = None,
    ) -> None:
        """`budget` is the mount's part. `exchange` is where trusted publishers get their tokens, if there are any.
        Without `attestations`, those that come are ignored."""
        self.exchange = exchange
        self._attestations = attestations
        self._settings = settings
        self._rules = rules
        self._publisher = publisher
        self._condition = condition
        self._access = access
        self._resources = resources
        self._visibility = visibility
        self._tasks: set[asyncio.Task[Published]] = set()
        self._fields_memory = budget.fields
        self._memory = budget.files

    def start(self) -> None:
        """Has the storage tried in the background. Raises ConfigError if tokens of issuers can't be verified."""
        if self.exchange is not None:
            self.exchange.start()
        self._condition.start()

    async def probed(self) -> None:
        """Returns when the storage has been tried since the start, or could not be."""
        await self._condition.probed()

    async def close(self) -> None:
        if self.exchange is not None:
            await self.exchange.close()
        await self._condition.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def memory(self) -> Mapping[str, UploadMemory]:
        """By what it is for."""
        return {"fields": self._fields_memory, "files": self._memory}

    async def finished(self) -> None:
        """Returns when no upload is under way any more, also of clients that have left. No others begin."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    @staticmethod
    def takes(path: str, base_path: str) -> bool:
        """Whether files are uploaded at this path."""
        return path.startswith(base_path) and _TARGET.fullmatch(path, len(base_path)) is not None

    @staticmethod
    def page_path(path: str, base_path: str) -> str:
        """Where a page is that hatch asks for below where it uploads: `…/+simple/project/`."""
        match = _PAGE.match(path, len(base_path)) if path.startswith(base_path) else None
        return f"{base_path}/simple/{path[match.end() :]}" if match is not None else path

    async def answer(
        self,
        headers: MultiMapping[str],
        length: int | None,
        body: AsyncIterator[bytes],
        record: RequestRecord,
        *,
        base_url: str,
        trusted: bool,
        from_permitted_page: bool = False,
    ) -> BufferedResponse:
        """The answer to a POST. `length` is None if the client does not tell it. `base_url` is that of the gateway's
        root, as the client knows it. `trusted`: `headers` come from a proxy that is believed. `from_permitted_page`: a
        page of another origin sends it, and may. Raises GatewayErrors, and ConnectionError if the client leaves;
        nothing is visible then."""
        if not from_permitted_page:
            demand_no_foreign_page(headers, base_url)
        if length is None:
            raise LengthRequiredError("a body without Content-Length")
        most = self._settings.max_bytes
        if length > most + MAX_FIELDS_BYTES + _FRAMING_BYTES:
            raise too_large(most)
        gate, changes = self._access.gate, self._access.changes
        writer = None
        if gate is not None:
            writer = await self._identified(gate, record, headers, trusted=trusted)
        form = UploadForm(headers.get("Content-Type", ""), length)
        async with _in_time(self._settings.timeout):
            reader = FormReader(form, body)
            async with self._fields_memory.of(length), _in_time(_FIELDS_SECONDS):
                filename = await reader.to_file()
                file = release_file(form.fields, filename, self._rules)
                principal = writer.principal if writer is not None else ANONYMOUS
                proof = None
                if self._attestations is not None:
                    proof = self._attestations.of(form, file.filename, principal)
                sent = has_attestations(form.fields)
                form.forget_fields()
            record.key = key = await self._publisher.key(file)
            if gate is not None and writer is not None:
                gate.admit_writer(record, writer, headers, [self._resources.of(key)])
            conditional = await self._condition.demand(length)
            overwrite = self._may_overwrite(principal)
            pieces = self._permitted(reader.pieces(), changes, record, headers, trusted=trusted)
            content = Content(pieces, Inspection(file, self._rules), most, proof)
            memory = self._memory.of(_TIMES_IN_MEMORY * length)
            publish = self._published(
                key, file, content, principal, memory, overwrite=overwrite, conditional=conditional
            )
            published = await self._to_its_end(key, content, publish)
        text = f"{file.filename} is {'published' if published.new else 'there already, with the same content'}\n"
        if proof is None and (sent or has_attestations(form.fields)):
            text += f"{IGNORED}\n"
        return BufferedResponse(200, text.encode(), dict(_TEXT))

    async def _identified(
        self, gate: "Gate", record: RequestRecord, headers: MultiMapping[str], *, trusted: bool
    ) -> "Writer":
        """Who uploads. Raises what Gate.identify_writer raises."""
        by_session, audience = is_own_script(headers), self._settings.audience or ""
        return await gate.identify_writer(record, headers, trusted=trusted, sessions=by_session, grants=audience)

    async def _permitted(
        self,
        pieces: AsyncIterator[bytes],
        changes: int,
        record: RequestRecord,
        headers: MultiMapping[str],
        *,
        trusted: bool,
    ) -> AsyncIterator[bytes]:
        """The pieces of a file. Raises what `admit_writer` raises after the last of them, if what somebody may do has
        changed since there were `changes`: whoever may write no more could keep an upload open for that."""
        async for piece in pieces:
            yield piece
        gate = self._access.gate
        if gate is not None and self._access.changes != changes:
            writer = await self._identified(gate, record, headers, trusted=trusted)
            gate.admit_writer(record, writer, headers, [self._resources.of(record.key)])

    async def _published(
        self,
        key: str,
        file: ReleaseFile,
        content: Content,
        principal: Principal,
        memory: AbstractAsyncContextManager[None],
        *,
        overwrite: bool,
        conditional: bool,
    ) -> Published:
        """What is new of the file. All of it is seen then. The `memory` for it is taken until all is written, also when
        the client has left."""
        source = principal.scope.source if principal.scope is not None else ""
        try:
            async with memory:
                published = await self._publisher.publish(
                    key, file, content, principal.name, source=source, overwrite=overwrite, conditional=conditional
                )
        except (UpstreamError, UpstreamBusyError, UpstreamTimeoutError):
            if content.sha256:  # it may be there, and only what comes after that have failed
                await self._visibility.show(file.project)
            raise
        if published.to_show:
            await self._visibility.show(file.project)
        return published

    async def _to_its_end(self, key: str, content: Content, work: Coroutine[object, object, Published]) -> Published:
        """Once all of the file is there and right, the work goes on though the client leaves: the storage may have
        taken the file already, and then others have to see it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve_exception)  # in case nobody waits for it any more
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if content.sha256:
                task.add_done_callback(partial(_log_end, key))  # the log, and the audit, say only that nobody waited
            else:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await to_its_end(task)
            raise

    def _may_overwrite(self, principal: Principal) -> bool:
        return any(subject.is_one(principal) for subject in self._settings.overwrite)


def _log_end(key: str, task: asyncio.Task[Published]) -> None:
    """How an upload has ended whose client has left."""
    if task.cancelled() or task.exception() is not None:
        why = "the gateway ends" if task.cancelled() else task.exception()
        log.warning("%s may not be published, and its client has left: %s", key, why)
    else:
        log.info("%s is published, though its client has left", key)


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """Raises RequestTimeoutError if an upload, or a part of it, takes too long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise RequestTimeoutError(f"over {seconds:g} s") from error
