"""Which encodings a client prefers to the plain bytes (RFC 9110, 12.5.3). Pure."""

from functools import lru_cache
from typing import NamedTuple

from gateway.index.simple.negotiation import ranges

_KINDS_OF_CLIENTS = 64


class Welcome(NamedTuple):
    """`encodings` are at least as welcome as the plain bytes, the most welcome first. `plain` is whether these are
    welcome at all."""

    encodings: tuple[str, ...]
    plain: bool = True


NOTHING = Welcome(())


@lru_cache(_KINDS_OF_CLIENTS)
def welcome(accept_encoding: str, offered: tuple[str, ...]) -> Welcome:
    """`accept_encoding` is the header, empty if there is none: whoever says nothing gets plain bytes, which all can
    read. Of equally welcome ones, that which comes first in `offered` comes first."""
    weights = ranges(accept_encoding)
    if "x-gzip" in weights:  # another name of it (8.4.1.3)
        weights.setdefault("gzip", weights["x-gzip"])
    others = weights.get("*", 0.0)
    plain = weights.get("identity", weights.get("*"))
    found = {name: weights.get(name, others) for name in offered}
    least = plain if plain is not None else 0.0  # what is not named comes after all that is
    preferred = [name for name in offered if found[name] > 0 and found[name] >= least]
    return Welcome(tuple(sorted(preferred, key=lambda name: -found[name])), plain is None or plain > 0)
