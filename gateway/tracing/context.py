"""Trace Context of the W3C: what the headers `traceparent` and `tracestate` say. Pure.

A traceparent that breaks the rules counts as none, and so does a tracestate; without a traceparent, a tracestate means
nothing. A later version is read as far as version 00 goes, and passed on as 00 (section 4.3 of the recommendation).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MAX_MEMBERS = 32
# As many must be passed on (3.3.1.5); no more is, because clients choose them.
_MAX_STATE_LENGTH = 512
_SAMPLED = 0x01
_KNOWN_FLAGS = _SAMPLED | 0x02  # the trace id is random (level 2)

NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace. The ids are in hex; `state` is what tracers of others keep there."""

    trace_id: str
    span_id: str
    flags: int
    state: str = ""

    @property
    def sampled(self) -> bool:
        """Whether the one before has recorded the trace."""
        return bool(self.flags & _SAMPLED)

    @property
    def headers(self) -> Mapping[str, str]:
        parent = f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"
        return {"traceparent": parent, "tracestate": self.state} if self.state else {"traceparent": parent}


def parse(parents: Sequence[str], states: Sequence[str]) -> TraceContext | None:
    """What the values of all headers `traceparent` and `tracestate` say; None for nothing, or what breaks the rules."""
    found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "00" and more is not None:
        return None
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS, _state(states))


def _state(states: Sequence[str]) -> str:
    members = [member for state in states for part in state.split(",") if (member := part.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match is not None}
    text = ",".join(members)
    sound = len(keys) == len(members) <= _MAX_MEMBERS and len(text) <= _MAX_STATE_LENGTH
    return text if sound else ""
