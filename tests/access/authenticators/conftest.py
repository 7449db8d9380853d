"""Real servers that know users, each started once."""

from collections.abc import Iterator

import pytest

from tests.support import postgres as postgresql
from tests.support import slapd as openldap
from tests.support.postgres import Postgres
from tests.support.slapd import Slapd


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    if (reason := openldap.unavailable()) is not None:
        pytest.skip(reason)
    with Slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if (reason := postgresql.unavailable()) is not None:
        pytest.skip(reason)
    with Postgres() as server:
        yield server
