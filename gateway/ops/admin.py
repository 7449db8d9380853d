"""Actions of an administrator on a running gateway, guarded by a token."""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

from packaging.utils import canonicalize_name

from gateway.errors import BadRequestError, MethodNotAllowedError
from gateway.messages import BufferedResponse
from gateway.ops.bearer import BearerToken
from gateway.ops.health import report
from gateway.ops.mark import EVERYTHING

# https://packaging.python.org/en/latest/specifications/name-normalization/
_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]{0,253}[A-Z0-9]", re.IGNORECASE)
_MAX_PROJECTS = 20


class Admin:
    def __init__(self, token: BearerToken, refresh: Callable[[str], None]) -> None:
        """`refresh` is called with a project's normalised name, or EVERYTHING."""
        self._token = token
        self._refresh = refresh

    def refresh(self, method: str, query: str, authorization: str) -> BufferedResponse:
        """Has the next pages made from new listings; with `project=NAME` in the query, once or more, only the pages of
        these projects. Raises MethodNotAllowedError, UnauthorizedError, BadRequestError."""
        if method != "POST":
            raise MethodNotAllowedError(method, "POST")
        self._token.check(authorization)
        for project in _projects(query) or [EVERYTHING]:
            self._refresh(project)
        return report(200, status="refreshed")


def _projects(query: str) -> list[str]:
    """The normalised names of the projects in a query. Raises BadRequestError for anything else in it."""
    hint = "The query may have project=NAME, up to 20 times"
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=_MAX_PROJECTS)
    except ValueError as error:
        raise BadRequestError(f"the query of a refresh: {error}", public=hint) from error
    for name, value in pairs:
        if name != "project" or not _NAME.fullmatch(value):
            raise BadRequestError(f"the query of a refresh: {name}={value!r}", public=hint)
    return [canonicalize_name(value) for _, value in pairs]
