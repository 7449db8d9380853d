import pytest

from gateway import errors
from gateway.errors import (
    ConfigError,
    GatewayError,
    MethodNotAllowedError,
    Problem,
    UnauthorizedError,
    UpstreamBusyError,
)


def every() -> list[type[GatewayError]]:
    found = [GatewayError]
    for each in found:
        found += each.__subclasses__()
    return found


@pytest.mark.parametrize("kind", [kind for kind in every() if kind.__module__ == errors.__name__])
def test_what_a_client_reads_never_has_the_detail(kind: type[GatewayError]) -> None:
    error = kind("bucket teams-bucket said <Error>AKIASECRET</Error>")
    assert 400 <= error.status <= 504
    assert error.public
    assert "teams-bucket" not in error.public
    assert "teams-bucket" not in str(error.headers)


def test_public_text_may_be_given_and_detail_is_what_the_log_gets() -> None:
    error = GatewayError("the detail", public="for all", code="NoSuchKey", upstream_status=404)
    assert (str(error), error.public, error.code, error.upstream_status) == ("the detail", "for all", "NoSuchKey", 404)


def test_refusals_say_what_would_be_taken() -> None:
    assert MethodNotAllowedError("PUT").headers == {"Allow": "GET, HEAD"}
    assert MethodNotAllowedError("GET", "POST").headers == {"Allow": "POST"}
    assert UnauthorizedError("no token").headers == {"WWW-Authenticate": "Bearer"}
    assert int(UpstreamBusyError("slow down").headers["Retry-After"]) > 0


def test_a_problem_says_what_where_and_why() -> None:
    problem = Problem("server.port", "config.yaml:3", "must be a number")
    assert str(ConfigError([problem, problem])) == "\n".join(["server.port (config.yaml:3): must be a number"] * 2)
