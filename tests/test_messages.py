import pytest

from gateway.messages import Credentials, Endpoint


def test_secrets_don_t_show() -> None:
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "the-secret", "the-token")
    for said in (repr(credentials), str(credentials), credentials.masked):
        assert "the-secret" not in said
        assert "the-token" not in said


@pytest.mark.parametrize(("key", "masked"), [("AKIAIOSFODNN7EXAMPLE", "AKIA…MPLE"), ("short", "…"), ("", "…")])
def test_an_access_key_is_told_as_far_as_it_takes_to_recognise_it(key: str, masked: str) -> None:
    assert Credentials(key, "s").masked == masked


def test_an_origin_is_scheme_and_host() -> None:
    assert Endpoint("https", "bucket.s3.amazonaws.com", "", "us-east-1").origin == "https://bucket.s3.amazonaws.com"
