"""What is decided about a release file. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from math import inf


class Action(Enum):
    """HOLD and DENY withhold a file; a held one may be let in later. WARN lets it in, and says so."""

    ALLOW = "allow"
    WARN = "warn"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is for people, and `by` names what decided: `policy.rules.2`, `policy.min_age`. `opens` is when a held
    file may come in, in seconds since the epoch, or None if nobody knows. The verdict is the same until `changes`, if
    nothing else than the time does."""

    action: Action
    reason: str = ""
    by: str = ""
    opens: float | None = None
    changes: float = inf
    malware: bool = False

    @property
    def withholds(self) -> bool:
        return self.action in (Action.HOLD, Action.DENY)

    def __str__(self) -> str:
        """As clients are told."""
        if self.action is Action.HOLD and self.opens is not None:
            return f"is held until {day(self.opens)}: {self.reason}"
        return f"is {_DONE[self.action]}: {self.reason}"


_DONE = {Action.ALLOW: "allowed", Action.WARN: "allowed with a warning", Action.HOLD: "held", Action.DENY: "denied"}
ALLOWED = Verdict(Action.ALLOW)
# datetime knows no later one.
_LAST_SECOND = 253_402_300_799


def day(seconds: float) -> str:
    """Rounded up to the minute, so that nobody comes too early: `2026-12-05 14:03 UTC`."""
    minutes = -(-min(seconds, _LAST_SECOND - 60) // 60)
    return datetime.fromtimestamp(minutes * 60, UTC).strftime("%Y-%m-%d %H:%M UTC")
