"""The choke point: who makes a request, and whether it is let in. Nothing is looked up before, and no cache answers."""

from collections.abc import Sequence

from gateway.access.authentication import Authentication
from gateway.access.principals import Principals
from gateway.errors import BadRequestError, CredentialsRequiredError, ForbiddenError, GatewayError
from gateway.messages import RequestRecord
from gateway.principal import Admission, Principal, Right
from gateway.rights.policy import Policy, Resource


class Gate:
    """Lets requests in by one policy, which does not change: a changed one is another gate."""

    def __init__(self, policy: Policy, principals: Principals, authentication: Authentication, realm: str) -> None:
        self.policy = policy
        self.authentication = authentication
        self._anonymous = principals.anonymous
        self._challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}

    def __str__(self) -> str:
        """What the log and `gateway check` say of it."""
        methods = ", ".join(self.authentication.methods) or "nobody: without authenticators, all are anonymous"
        return f"rules: {len(self.policy.rules)}; who somebody is tell: {methods}"

    async def admit(self, record: RequestRecord, authorization: Sequence[str], resource: Resource) -> None:
        """Lets a request in that reads, and notes in `record` who asks and why that is permitted, or is not.
        `authorization` are the values of its Authorization headers.

        Raises CredentialsRequiredError if credentials might help, ForbiddenError if they would not, BadRequestError,
        and what Authentication raises.
        """
        principal, method = self._anonymous, "anonymous"
        if authorization:
            try:
                principal, method = await self._authenticated(authorization, record.client)
            except GatewayError as error:
                record.admission = Admission(method="none", allowed=False, why=error.detail)
                raise
        decision = self.policy.judge(principal, Right.READ, resource)
        fallback = decision.allowed and self.policy.judge(principal, Right.FALLBACK, resource).allowed
        record.admission = Admission(principal, method, decision.allowed, decision.why, fallback)
        self.authentication.outcomes[method, "allowed" if decision.allowed else "denied"] += 1
        if decision.allowed:
            return
        if principal.name:
            raise ForbiddenError(decision.why)
        raise CredentialsRequiredError(decision.why, headers=self._challenge)

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
