"""A person's request to one of the gateway's own pages, and the form that may come with it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

from multidict import MultiMapping

from gateway.access.login.local_path import local_path
from gateway.access.login.signed_cookie import cookie_of
from gateway.errors import BadRequestError

LOGIN, CALLBACK, LOGOUT = PAGES = "login", "login/callback", "logout"
_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 10


@dataclass(frozen=True)
class Visit:
    """`page` is one of PAGES, or another page below `-/`. `root` is the path of the index as clients see it, and
    `base_url` its URL, empty if the request does not tell it. `body` is that of a POST, `client` the address."""

    page: str
    method: str
    query: str
    headers: MultiMapping[str] = field(repr=False)
    body: bytes = field(repr=False)
    client: str
    base_url: str
    root: str

    def cookie(self, name: str) -> str:
        """Empty if there is none, or more than one."""
        return cookie_of("; ".join(self.headers.getall("Cookie", ())), name)

    def url(self, page: str) -> str:
        """The path of a page, as clients see it."""
        return f"{self.root}-/{page}"

    @cached_property
    def form(self) -> Mapping[str, str]:
        """The fields of the body. Raises BadRequestError for what is not a form, or has a field twice."""
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _FORM:
            raise BadRequestError("not a form", public=f"This page takes a form, {_FORM}")
        return _distinct(self.body)

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """Those of the form, or else of the query. Raises BadRequestError like `form`."""
        return self.form if self.method == "POST" else _distinct(self.query.encode("utf-8", "surrogateescape"))

    @cached_property
    def return_to(self) -> str:
        """The path to which the person wants to go; the index if that is none of ours."""
        try:
            text = self.fields.get("to", "")
        except BadRequestError:
            if self.method == "POST":
                raise
            text = ""
        path = local_path(text)
        return path if path != "/" else self.root


def _distinct(data: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadRequestError("a form that can't be read", public="The form can't be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequestError("a form with a field twice", public="The form can't be read")
    return fields
