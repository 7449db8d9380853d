"""The choke point: who makes a request, and whether it is let in. Nothing is looked up before, and no cache answers."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

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
from gateway.rights.policy import Decision, Policy, Resource

if TYPE_CHECKING:
    from gateway.access.tokens.keys import TokenKey

_MAX_BYTES = 1024 * 1024
_ENTRY_BYTES = 1024


class Writer(NamedTuple):
    """Who wants to change something, what tells so, and the right that it takes."""

    principal: Principal
    method: str
    right: Right


class Gate:
    """Lets requests in by one policy, which does not change: a changed one is another gate.

    | the request has                       | it is made by                                                        |
    |---------------------------------------|----------------------------------------------------------------------|
    | an Authorization header               | whom the authenticators know by it, or it is refused                 |
    | a user's header of a trusted proxy    | that user (see access/login/forward_auth.py)                         |
    | a session's cookie, where that counts | whoever has logged in with that browser (see access/login/login.py)  |
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
        keys: Sequence["TokenKey"] = (),
    ) -> None:
        """`keys` are those of tokens."""
        self.policy = policy
        self.token_keys = frozenset(key.id for key in keys)
        # By which the gateway makes tokens, if it may.
        self.signing_key = next((key for key in keys if key.may_sign), None)
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
        if not decision.allowed:
            raise self._refused(record.admission, headers)

    async def identify_writer(
        self,
        record: RequestRecord,
        headers: MultiMapping[str],
        *,
        trusted: bool,
        right: Right = Right.WRITE,
        sessions: bool = False,
        grants: str = "",
    ) -> Writer:
        """Who wants to change something, before it is known what. The session of a browser counts only with `sessions`:
        any page could have a browser send a request. A token that grants the right by itself counts only if it does for
        the audience `grants`: it is for publishing, and for nothing else that takes the same right, and another index
        may know the same key. Raises what `admit` raises, also if nothing grants the right to anything."""
        try:
            principal, method = await self._who(headers, record.client, trusted=trusted, sessions=sessions)
        except GatewayError as error:
            record.admission = Admission(method="none", allowed=False, why=error.detail, right=right)
            raise
        decision = self.policy.judge_any(principal, right)
        if principal.scope is not None and principal.scope.grants not in ("", grants):
            why = "is that of a trusted publisher of another index" if grants else "is for trusted publishing alone"
            decision = Decision(False, f"the token {principal.token!r} {why}")
        if not decision.allowed:  # while they send, they would hold what others wait for
            self._note(record, Admission(principal, method, False, decision.why, right=right))
            raise self._refused(record.admission, headers)
        record.admission = Admission(principal, method, why="not known yet what it is for", right=right)
        return Writer(principal, method, right)

    def admit_writer(
        self, record: RequestRecord, writer: Writer, headers: MultiMapping[str], resources: Iterable[Resource]
    ) -> None:
        """Lets somebody change all of `resources`. Raises ForbiddenError, or CredentialsRequiredError if credentials
        might help."""
        decision = Decision(False, "there is nothing to change")
        for resource in resources:
            decision = self.policy.judge(writer.principal, writer.right, resource)
            if not decision.allowed:
                break
        self._note(
            record, Admission(writer.principal, writer.method, decision.allowed, decision.why, right=writer.right)
        )
        if not decision.allowed:
            raise self._refused(record.admission, headers)

    def _refused(self, admission: Admission, headers: MultiMapping[str]) -> GatewayError:
        if admission.principal.name:
            return ForbiddenError(admission.why)
        asks_itself = self.login is not None and is_script(headers)
        return CredentialsRequiredError(
            admission.why, headers=self._challenge_of_scripts if asks_itself else self._challenge
        )

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
