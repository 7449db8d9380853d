"""No cache on the way may give one client's answer to another."""

import pytest

from gateway.access.private_answers import private
from gateway.messages import Answer, BufferedResponse, Redirect, Stream, nothing_to_close


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "private, no-cache"),
        ({"Cache-Control": "no-cache"}, "private, no-cache"),
        ({"Cache-Control": "max-age=31536000, immutable"}, "private, max-age=31536000, immutable"),
        ({"Cache-Control": "public, s-maxage=60, max-age=5"}, "private, max-age=5"),
        ({"Cache-Control": "Public,S-MaxAge = 60"}, "private, no-cache"),
        ({"Cache-Control": 'private="x, y", max-age=5'}, "private, max-age=5"),
        ({"Cache-Control": "private, max-age=5"}, "private, max-age=5"),
        ({"Cache-Control": "no-store"}, "private, no-store"),
    ],
)
def test_every_kind_of_answer_is_private(given: dict[str, str], expected: str) -> None:
    answers: list[Answer] = [
        BufferedResponse(200, b"", given),
        Redirect("/x", headers=given),
        Stream(200, dict(given), None, nothing_to_close),
    ]
    for answer in map(private, answers):
        assert answer.headers["Cache-Control"] == expected
        assert answer.headers["Vary"] == "Authorization, Cookie"


def test_what_varies_already_goes_on_doing_so() -> None:
    headers = private(BufferedResponse(200, b"", {"Vary": "Accept, Accept-Encoding"})).headers
    assert headers["Vary"] == "Accept, Accept-Encoding, Authorization, Cookie"
