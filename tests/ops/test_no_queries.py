"""What is wrong with a query is not told by quoting it: the log has no queries, which may be secrets that somebody has
sent to the wrong place."""

from collections.abc import Callable

import pytest

from gateway.errors import BadRequestError, GatewayError, NotAcceptableError
from gateway.ops.admin import _projects
from gateway.ops.purge import requested
from gateway.website.forms import wanted


def purge(query: str) -> object:
    return requested(query, "", b"")


def listing(query: str) -> object:
    return wanted("", query)


@pytest.mark.parametrize(
    ("read", "query"),
    [
        (_projects, "token=the-secret"),
        (_projects, "project=the-secret!"),
        (_projects, "the-secret"),
        (purge, "token=the-secret"),
        (purge, "project=the-secret!"),
        (purge, "the-secret"),
        (listing, "format=the-secret"),
    ],
)
def test_what_is_refused_is_not_quoted(read: Callable[[str], object], query: str) -> None:
    with pytest.raises((BadRequestError, NotAcceptableError)) as caught:
        read(query)
    seen: BaseException | None = caught.value
    assert isinstance(seen, GatewayError)
    assert "the-secret" not in seen.detail + seen.public
