"""The pages by which clients exchange tokens: twine's, uv's and PyPI's own (`/_/oidc/…`), and PEP 807's.

https://docs.pypi.org/trusted-publishers/internals/
https://peps.python.org/pep-0807/
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from multidict import MultiMapping

from gateway.access.access import Access
from gateway.access.attempts import Attempts
from gateway.errors import (
    AuthenticationBusyError,
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
    TooManyAttemptsError,
    UpstreamTimeoutError,
)
from gateway.messages import BufferedResponse, RequestRecord
from gateway.principal import Admission
from gateway.publish.trusted.minting import FEATURES, Minting, MintRefusedError
from gateway.publish.uploads import Uploads

AUDIENCE, MINT, DISCOVERY = "_/oidc/audience", "_/oidc/mint-token", ".well-known/pytp"
# A JWT of the longest kind that is read, in JSON: so few bytes are parsed on the event loop.
MAX_BODY_BYTES = 20 * 1024
_METHOD = "trusted"
_ANSWER_SECONDS = 10.0
_JSON, _PROBLEM, _PYTP = "application/json", "application/problem+json", "application/vnd.pypi.pytp.v1+json"
_RANGES = frozenset({"*/*", "application/*", _JSON, _PYTP})
_FAILED = "Token request failed"


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """`page` is one of the three. `base_url` is the URL of the gateway's root as the client knows it, or empty, and
    `root` its path; both end with a slash."""

    page: str
    method: str
    query: str
    headers: MultiMapping[str]
    base_url: str
    root: str


class Exchange:
    """Answers clients at the three pages. Nobody has to log in there.

    Whoever presents wrong tokens is slowed down as guessers of passwords are. A right token is taken all the same:
    runners of CI share their addresses with strangers, and nobody can guess a signature."""

    def __init__(
        self, audience: str, minting: Minting, access: Access, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._audience = audience
        self._minting = minting
        self._access = access
        self._attempts = Attempts(clock)

    @staticmethod
    def pages(base_path: str) -> Mapping[str, str]:
        """The pages by their paths. Most clients look at the root of the host, wherever the index is on it; a proxy in
        front of several gateways leads them to the one below whose path they are found."""
        paths = {f"/{page}": page for page in (AUDIENCE, MINT, DISCOVERY)}
        return paths | {f"{base_path}/{page}": page for page in (AUDIENCE, MINT)}

    def start(self) -> None:
        """Contacts nobody. Raises ConfigError if the extra `access` is not installed."""
        self._minting.start()

    async def close(self) -> None:
        await self._minting.close()

    async def answer(self, request: ExchangeRequest, body: bytes, record: RequestRecord) -> BufferedResponse:
        """Raises GatewayErrors: `refusal` makes an answer of them that clients understand."""
        method = "POST" if request.page == MINT else "GET"
        if request.method != method:
            raise MethodNotAllowedError(request.method, method)
        if request.page == MINT:
            return await self._mint(body, record)
        if request.page == AUDIENCE:
            return _answer(200, {"audience": self._audience})
        return self._discover(request)

    def refusal(self, page: str, error: GatewayError, record: RequestRecord) -> BufferedResponse:
        """The answer to a request that failed. What is down is to be tried again, whatever it is."""
        status = 503 if error.status >= 500 else error.status
        if page == MINT:
            self._note(record, Admission(method=_METHOD, allowed=False, why=error.detail), _result(error))
        headers = error.headers | ({"Retry-After": "2"} if status == 503 else {})
        kind = _PROBLEM if page == DISCOVERY else _JSON
        code = "too-many-requests" if status == 429 else "unavailable" if status == 503 else "invalid-request"
        return _refused(status, code, error.public, headers, kind)

    async def _mint(self, body: bytes, record: RequestRecord) -> BufferedResponse:
        gate = self._access.gate
        if gate is None or gate.signing_key is None:
            raise AuthenticationBusyError("access.tokens has no key any more that signs")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                minted = await self._minting.mint(body, gate.signing_key)
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"over {_ANSWER_SECONDS:g} s") from error
        except MintRefusedError as error:
            if (wait := self._attempts.wait(record.client)) > 0:
                raise TooManyAttemptsError(f"too many wrong tokens; {error}", wait=wait) from None
            self._attempts.failed(record.client)
            record.error = str(error)
            self._note(record, Admission(method=_METHOD, allowed=False, why=str(error)), "denied")
            return _refused(422, error.code, str(error))
        principal = minted.principal
        why = f"a token to publish {', '.join(principal.scope.projects if principal.scope is not None else ())}"
        self._note(record, Admission(principal, _METHOD, True, why), "allowed")
        return _answer(200, {"success": True, "token": minted.token, "expires": minted.expires})

    def _discover(self, request: ExchangeRequest) -> BufferedResponse:
        if not _accepts(request.headers):
            return _refused(406, "not-acceptable", f"The answer is {_PYTP}", {"Vary": "Accept"}, _PROBLEM)
        try:
            asked = parse_qs(request.query, keep_blank_values=True, max_num_fields=10).get("discover", [])
        except ValueError:
            asked = []
        if len(asked) != 1 or not Uploads.takes(asked[0], request.root[:-1]) or not request.base_url:
            raise NotFoundError("nothing is published at that path")
        endpoints = {
            "audience-endpoint": request.base_url + AUDIENCE,
            "token-mint-endpoint": request.base_url + MINT,
            "features": FEATURES,
            "default-features": FEATURES,
        }
        return _answer(200, endpoints, {"Vary": "Accept"}, _PYTP)

    def _note(self, record: RequestRecord, admission: Admission, result: str) -> None:
        record.admission = admission
        if (gate := self._access.gate) is not None:
            gate.authentication.outcomes[_METHOD, result] += 1


def _result(error: GatewayError) -> str:
    if isinstance(error, TooManyAttemptsError):
        return "limited"
    return "unavailable" if error.status >= 500 else "denied"


def _accepts(headers: MultiMapping[str]) -> bool:
    ranges = [part.strip().lower() for part in ",".join(headers.getall("Accept", ("*/*",))).split(",")]
    return any(part.partition(";")[0].strip() in _RANGES for part in ranges)


def _answer(
    status: int, fields: Mapping[str, object], headers: Mapping[str, str] | None = None, kind: str = _JSON
) -> BufferedResponse:
    body = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    return BufferedResponse(status, body, {"Content-Type": kind, "Cache-Control": "no-store", **(headers or {})})


def _refused(
    status: int, code: str, description: str, headers: Mapping[str, str] | None = None, kind: str = _JSON
) -> BufferedResponse:
    """What PyPI's clients read, and what RFC 9457 has."""
    fields = {"message": _FAILED, "errors": [{"code": code, "description": description}]}
    return _answer(status, fields | {"title": _FAILED, "status": status, "detail": description}, headers, kind)
