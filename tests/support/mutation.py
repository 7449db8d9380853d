"""A pytest plugin that runs the tests once for each mutant of a module (see tests/mutants.py): `--mutants FILE`.

Tests are collected once. Each mutant has a process that is forked for it then, and runs the tests that take least
first, until one fails: some 20 ms for most mutants, where a pytest of its own takes a second.
"""

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

# Beyond what all tests take without a mutant: a mutant that waits or loops for ever counts as killed.
_PATIENCE_SECONDS = 5.0
_SLOWER = 4
_CLEAN_SECONDS = 900.0
_KILLED, _SURVIVED, _BY_TIME = "killed", "survived", "by time"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", metavar="FILE", help="a JSON list of names; replaced by one of what became of each")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    # Which example fails first is all that counts.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", hypothesis.settings.default, phases=phases, database=None)
    hypothesis.settings.load_profile("mutants")
    file = Path(session.config.getoption("--mutants"))
    seconds = Path("seconds.json")
    clean = _forked(lambda: _survives(session, session.items, seconds), _CLEAN_SECONDS)
    if clean != _SURVIVED:
        pytest.exit(f"without a mutant the tests are {clean}", returncode=1)
    taken: dict[str, float] = json.loads(seconds.read_text())
    items = sorted(session.items, key=lambda item: taken[item.nodeid])
    limit = _PATIENCE_SECONDS + _SLOWER * sum(taken.values())
    results = []
    for name in json.loads(file.read_text()):
        os.environ["MUTANT_UNDER_TEST"] = name
        results.append(_forked(lambda: _survives(session, items), limit))
    file.write_text(json.dumps(results))
    return True


def _survives(session: pytest.Session, items: list[pytest.Item], seconds: Path | None = None) -> bool:
    """Whether all the tests pass, and in `seconds` how long each has taken."""
    failures: list[str] = []

    class Failures:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failures.append(report.nodeid)

    session.config.pluginmanager.register(Failures())
    taken = {}
    for item, following in zip(items, [*items[1:], None], strict=True):
        started = time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        taken[item.nodeid] = time.monotonic() - started
        if failures:
            return False
    if seconds is not None:
        seconds.write_text(json.dumps(taken))
    return True


def _forked(survives: Callable[[], bool], limit: float) -> str:
    """What becomes of a mutant in a process of its own, which ends with all that it has started."""
    result, end = os.pipe()
    process = os.fork()
    if not process:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        try:
            os.write(end, b"1" if survives() else b"0")
        finally:
            os._exit(0)
    os.close(end)
    try:
        ready, _, _ = select.select([result], [], [], limit)
        said = os.read(result, 1) if ready else None
    finally:
        os.close(result)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    if said is None or (not said and os.waitstatus_to_exitcode(status) == -signal.SIGXCPU):
        return _BY_TIME
    return _SURVIVED if said == b"1" else _KILLED
