"""The id of a request, by which its lines in logs are found."""

import random
import re

_SANE = re.compile(r"[A-Za-z0-9._:@=+/-]{1,128}")


def given_or_new(given: str = "") -> str:
    """The id that the client has given, if it can stand in a log, else a new one. It is not a secret, so a
    pseudo-random number does, which costs no system call."""
    return given if given and _SANE.fullmatch(given) else f"{random.getrandbits(64):016x}"
