"""The answer to a request for a file that is withheld."""

from gateway.errors import ForbiddenError
from gateway.policy.verdict import Verdict, day


class WithheldError(ForbiddenError):
    """The policy does not let the file come in, or not yet."""

    def __init__(self, name: str, verdict: Verdict) -> None:
        opens = day(verdict.opens) if verdict.opens is not None else None
        code = f"Policy{verdict.action.value.title()}"
        super().__init__(f"{name} {verdict} ({verdict.by})", public=f"{name} {verdict}", code=code)
        # Most installers show the reason phrase, and nothing else.
        told = str(verdict).removeprefix("is ")
        self.reason = told[0].upper() + told[1:]
        self.report = {"verdict": verdict.action.value, "reason": verdict.reason, "by": verdict.by, "opens": opens}
