"""`gateway access test`: holds the rules against a file of expectations."""

import sys
from collections.abc import Callable
from pathlib import Path

from gateway.cli.access.expectations import ExpectationsError, read
from gateway.cli.access.question import People, verdicts
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem


def run(settings: Settings, file: Path, write: Callable[[str], None]) -> int:
    """Returns 0 if all expectations hold, 1 if one does not, 2 for a file that can't be understood. Raises ConfigError
    if there are no rules to test."""
    if settings.access is None:
        raise ConfigError([Problem("access", "not set", "there is nothing to test: everybody may read everything")])
    people = People(settings.access)
    try:
        expectations = read(file, settings, people)
    except ExpectationsError as error:
        for mistake in error.mistakes:
            print(f"gateway access test: {mistake}", file=sys.stderr)
        return 2
    failures = 0
    for expected in expectations:
        decision = dict(verdicts(people.policy, expected.principal, expected.resource))[expected.right]
        if decision.allowed is not expected.allowed:
            failures += 1
            may, but = ("may", "not to") if decision.allowed else ("may not", "to")
            what = f"{expected.who} {may} {expected.right.value} {expected.what}, but was expected {but}"
            write(f"FAIL  {file}:{expected.line}: {what}: {decision.why}")
    total = len(expectations)
    write(f"FAIL  {failures} of {total} expectations" if failures else f"ok    expectations: {total}, all hold")
    return 1 if failures else 0
