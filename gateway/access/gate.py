"""The choke point: who makes a request, and whether it is let in. Nothing is looked up before, and no cache answers."""

from collections.abc import Sequence
from typing import NamedTuple

from multidict import MultiMapping

from gateway.access.authentication import Authentication
from gateway.access.authenticator import Identity
from gateway.access.login.forward_auth import ForwardAuth
from gateway.access.login.login import Login
from gateway.access.login.navigation import is_script
from gateway.access.principals import Principals
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import BadRequestError, CredentialsRequiredError, ForbiddenError, GatewayError
from gateway.messages import RequestRecord
from gateway.principal import Admission, Principal, Right
from gateway.rights.policy import Policy, Resource

_MAX_BYTES = 1024 * 1024
_ENTRY_BYTES = 1024


class Writer(NamedTuple):
    """Who sends something, and what tells so."""

    principal: Principal
    method: str


class Gate:
    """Lets requests in by one policy, which does not change: a changed one is another gate.

    | the request has                       | it is made by                                                        |
    |---------------------------------------|----------------------------------------------------------------------|
    | an Authorization header               | whom the authenticators know by it, or it is refused                 |
    | a user's header of a trusted proxy    | that user (see access/login/forward_auth.py)                         |
    | a cookie of a session, for reading    | whoever has logged in with that browser (see access/login/login.py)  |
    | none of these                         | the anonymous                                                        |
    """

    def __init__(
        self,
        policy: Policy,
        principals: Principals,
        authentication: Authentication,
        realm: str,
        forward_auth: ForwardAuth | None = None,
        login: Login | None = None,
    ) -> None:
        self.policy = policy
        self.authentication = authentication
        self.login = login
        self._principals = principals
        self._forward_auth = forward_auth
        # One that makes no browser ask for a password by itself.
        self._challenge_of_scripts = {"WWW-Authenticate": f'Cookie realm="{realm}"'}
        self._challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
        self._remembered = LruCache[Identity, Principal]("principals", MemoryLimit(_MAX_BYTES), _weight)

    def __str__(self) -> str:
        """What the log and `gateway check` say of it."""
        tellers = [*self.authentication.methods, *(str(one) for one in (self._forward_auth,) if one is not None)]
        methods = ", ".join(tellers) or "nobody: without authenticators, all are anonymous"
        people = f"; people log in {self.login}" if self.login is not None else ""
        return f"rules: {len(self.policy.rules)}; who somebody is tell: {methods}{people}"

    async def start(self) -> None:
        """Raises ConfigError if an authenticator can't be used at all."""
        if self.login is not None:
            await self.login.start()  # first, because it leaves nothing behind if what follows fails
        await self.authentication.start()

    async def close(self) -> None:
        if self.login is not None:
            await self.login.close()
        await self.authentication.close()

    async def admit(
        self, record: RequestRecord, headers: MultiMapping[str], resource: Resource, *, trusted: bool
    ) -> None:
        """Lets a request in that reads, and notes in `record` who asks and why that is permitted, or is not. `trusted`:
        its `headers` come from a proxy that is believed.

        Raises CredentialsRequiredError if credentials might help, ForbiddenError if they would not, BadRequestError,
        and what Authentication raises.
        """
        try:
            principal, method = await self._who(headers, record.client, trusted=trusted)
        except GatewayError as error:
            record.admission = Admission(method="none", allowed=False, why=error.detail)
            raise
        decision = self.policy.judge(principal, Right.READ, resource)
        fallback = decision.allowed and self.policy.judge(principal, Right.FALLBACK, resource).allowed
        self._note(record, Admission(principal, method, decision.allowed, decision.why, fallback))
        if decision.allowed:
            return
        if principal.name:
            raise ForbiddenError(decision.why)
        asks_itself = self.login is not None and is_script(headers)
        raise CredentialsRequiredError(
            decision.why, headers=self._challenge_of_scripts if asks_itself else self._challenge
        )

    async def identify_writer(self, record: RequestRecord, headers: MultiMapping[str], *, trusted: bool) -> Writer:
        """Who sends something, before it is known what it is for. A session of a browser does not count: any page could
        have it send that. Raises what `admit` raises, also if nothing grants that somebody writes anything."""
        try:
            principal, method = await self._who(headers, record.client, trusted=trusted, sessions=False)
        except GatewayError as error:
            record.admission = Admission(method="none", allowed=False, why=error.detail)
            raise
        decision = self.policy.judge_any(principal, Right.WRITE)
        if not decision.allowed:  # while they send, they would hold what others wait for
            self._note(record, Admission(principal, method, False, decision.why))
            raise self._refused_writer(record.admission)
        record.admission = Admission(principal, method, why="not known yet what it is for")
        return Writer(principal, method)

    def admit_writer(self, record: RequestRecord, writer: Writer, resource: Resource) -> None:
        """Lets somebody write. Raises ForbiddenError, or CredentialsRequiredError if credentials might help."""
        decision = self.policy.judge(writer.principal, Right.WRITE, resource)
        self._note(record, Admission(writer.principal, writer.method, decision.allowed, decision.why))
        if not decision.allowed:
            raise self._refused_writer(record.admission)

    def _refused_writer(self, admission: Admission) -> GatewayError:
        if admission.principal.name:
            return ForbiddenError(admission.why)
        return CredentialsRequiredError(admission.why, headers=self._challenge)

    def _note(self, record: RequestRecord, admission: Admission) -> None:
        record.admission = admission
        self.authentication.outcomes[admission.method, admission.result] += 1

    async def _who(
        self, headers: MultiMapping[str], client: str, *, trusted: bool, sessions: bool = True
    ) -> tuple[Principal, str]:
        """Who makes the request, and what tells so."""
        if authorization := headers.getall("Authorization", ()):
            return await self._authenticated(authorization, client)
        forwarded = self._forward_auth.identity(headers) if trusted and self._forward_auth is not None else None
        if forwarded is not None:
            return self._principal(forwarded), ForwardAuth.method
        if sessions and self.login is not None and (identity := self.login.session(headers)) is not None:
            return self._principal(identity), "session"
        return self._principals.anonymous, "anonymous"

    def _principal(self, identity: Identity) -> Principal:
        """Remembers it: what somebody may see takes time to tell if there are many rules."""
        known = self._remembered.get(identity)
        if known is None:
            known = self._principals.of(identity)
            self._remembered.put(identity, known)
        return known

    async def _authenticated(self, authorization: Sequence[str], client: str) -> tuple[Principal, str]:
        if len(authorization) > 1:
            raise BadRequestError("several Authorization headers", public="There is more than one Authorization header")
        known = self.authentication.known(authorization[0])
        if known is None:
            try:
                known = await self.authentication.identify(authorization[0], client)
            except CredentialsRequiredError as error:
                error.headers.update(self._challenge)
                raise
        return known.principal, known.method


def _weight(identity: Identity, principal: Principal) -> int:
    return weight_of((identity.name, *identity.groups, *principal.groups)) + _ENTRY_BYTES
