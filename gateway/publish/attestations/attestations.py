"""Has the attestations of an upload verified, before the last bytes of its file are written."""

import asyncio

from gateway.errors import UpstreamBusyError
from gateway.executors import ATTESTATIONS
from gateway.principal import Principal
from gateway.publish.attestations.field import attestations_in
from gateway.publish.attestations.identity import identity_of
from gateway.publish.attestations.verifier import Verifier
from gateway.publish.form import UploadForm
from gateway.publish.rules import invalid_upload

# Two at once, each some ten milliseconds: only an upload among hundreds waits so long. Its client tries again.
_SECONDS = 10.0


class Attestations:
    """Those of all uploads."""

    def __init__(self, verifier: Verifier, *, required: bool) -> None:
        """`required`: no file is taken without."""
        self._verifier = verifier
        self._required = required

    def of(self, form: UploadForm, filename: str, principal: Principal) -> "Attested":
        """Those of one upload, of whose form the fields in front of the file have been read. Raises BadRequestError if
        this principal can have none, although there are some or have to be."""
        source = principal.scope.source if principal.scope is not None and principal.scope.grants else ""
        early = attestations_in(form.fields)
        if self._required and not source:
            raise invalid_upload(
                "files are taken with attestations only, which only trusted publishers have (publish.attestations)"
            )
        if early or self._required:
            identity_of(source)
        return Attested(self._verifier, form, early, filename, source, required=self._required)


class Attested:
    """`provenance` is what to store beside the file; None until all has been verified, or if there is nothing."""

    def __init__(
        self, verifier: Verifier, form: UploadForm, early: str, filename: str, source: str, *, required: bool
    ) -> None:
        self._verifier = verifier
        self._form = form
        self._early = early
        self._filename = filename
        self._source = source
        self._required = required
        self.provenance: bytes | None = None

    async def verify(self, sha256: str) -> None:
        """Call it when the whole form has been read. Raises GatewayErrors unless all of them are right."""
        late = attestations_in(self._form.fields)
        if self._early and late:
            raise invalid_upload("the form has the field attestations more than once")
        field = self._early or late
        if not field:
            if self._required:
                raise invalid_upload("files without attestations are not taken (publish.attestations)")
            return
        identity = identity_of(self._source)
        work = ATTESTATIONS.run(self._verifier.provenance, field, identity, self._filename, sha256)
        try:
            async with asyncio.timeout(_SECONDS):
                self.provenance = await work
        except TimeoutError as error:
            raise UpstreamBusyError(f"attestations were not verified within {_SECONDS:g} s") from error
