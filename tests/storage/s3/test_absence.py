import pytest

from gateway.errors import NotFoundError, UpstreamBusyError
from gateway.storage.s3.absence import Absence

ABSENT = NotFoundError("404 NoSuchKey", code="NoSuchKey", upstream_status=404)
DENIED = NotFoundError("403 AccessDenied", code="AccessDenied", upstream_status=403)
UNSAID = NotFoundError("404 HTTP404", code="HTTP404", upstream_status=404)
IMPOSSIBLE = NotFoundError("400 KeyTooLongError", code="KeyTooLongError", upstream_status=400)


@pytest.mark.parametrize("error", [DENIED, UNSAID])
def test_only_a_bucket_that_says_no_such_key_is_lost(error: NotFoundError) -> None:
    absence = Absence()
    absence.given_out()
    assert absence.outage(error) is None
    assert absence.outage(ABSENT) is None
    outage = absence.outage(error)
    assert isinstance(outage, UpstreamBusyError)
    assert (outage.detail, outage.code, outage.upstream_status) == (error.detail, error.code, error.upstream_status)
    assert absence.outage(ABSENT) is None


def test_a_key_that_can_not_be_is_always_absent() -> None:
    absence = Absence()
    absence.outage(ABSENT)
    assert absence.outage(IMPOSSIBLE) is None


def test_a_bucket_that_gives_objects_and_no_longer_says_no_such_key_may_not_be_listed_any_more() -> None:
    now = 100.0
    absence = Absence(lambda: now)
    absence.outage(ABSENT)
    absence.given_out()
    assert absence.outage(DENIED) is not None
    now += 60.0
    absence.given_out()  # perhaps asked for before
    assert absence.outage(DENIED) is not None
    now += 0.1
    absence.given_out()
    assert absence.outage(DENIED) is None
    absence.outage(ABSENT)
    assert absence.outage(DENIED) is not None


def test_no_such_key_shows_that_access_is_there() -> None:
    now = 100.0
    absence = Absence(lambda: now)
    absence.outage(ABSENT)
    absence.outage(DENIED)
    absence.outage(ABSENT)
    now += 61.0
    absence.given_out()
    assert absence.outage(DENIED) is not None


def test_a_bucket_that_has_been_listed_can_be_lost_too() -> None:
    absence = Absence()
    absence.listed()
    assert isinstance(absence.outage(DENIED), UpstreamBusyError)
