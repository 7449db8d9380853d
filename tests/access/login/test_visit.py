"""What is read of a request to the login's pages: nothing in it leads elsewhere, and nothing breaks the reading."""

from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.access.login.pages import failed, login_form, login_url, logout_form
from gateway.access.login.visit import Visit
from gateway.errors import BadRequestError
from gateway.messages import BufferedResponse

FORM = "application/x-www-form-urlencoded"
odd = st.text(alphabet="/\\.:@%?#&=+;<>\"' \t\r\n\x00ab é\udcff", max_size=20)


def visit(query: str = "", body: bytes = b"", root: str = "/pypi/", kind: str = FORM) -> Visit:
    headers = CIMultiDict({"Content-Type": kind})
    return Visit("login", "POST" if body else "GET", query, headers, body, "192.0.2.1", "https://h.example/", root)


@given(odd, st.sampled_from(["/", "/pypi/"]))
def test_nothing_leads_to_another_host(text: str, root: str) -> None:
    encoded = urlencode({"to": text.encode("utf-8", "surrogateescape")})
    for given_visit in (visit(encoded, root=root), visit(body=encoded.encode(), root=root)):
        try:
            to = given_visit.return_to
        except BadRequestError:  # a form, which was not ours
            continue
        assert urlsplit(urljoin("https://h.example/x", to))[:2] == ("https", "h.example")
        assert to.startswith("/")
        assert not to.startswith(("//", "/\\"))
        assert to.isascii()
        assert to.isprintable()


@given(odd, st.sampled_from(["/", "/pypi/"]))
def test_a_path_survives_the_way_to_the_login_and_back(text: str, root: str) -> None:
    path = f"{root}{text}"
    query = login_url(root, path).partition("?")[2]
    assert visit(query, root=root).return_to in (path, root)
    if text.isascii() and text.isalnum():
        assert visit(query, root=root).return_to == path


@given(st.binary(max_size=60), odd)
def test_any_bytes_are_a_form_or_are_refused(body: bytes, query: str) -> None:
    for one in (visit(body=body or b"x"), visit(query)):
        with suppress(BadRequestError):
            assert one.return_to.startswith("/")
            assert one.method == "GET" or all(isinstance(value, str) for value in one.form.values())


class Tags(HTMLParser):
    """The tags of a page, each with the names of its attributes."""

    def __init__(self, page: BufferedResponse) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


@given(odd)
def test_a_page_shows_only_text(text: str) -> None:
    shown = "x" + text.encode("utf-8", "replace").decode()

    def pages(text: str) -> list[BufferedResponse]:
        one = visit(urlencode({"to": f"/x?{text}"}))
        return [login_form(one, text, message=text), logout_form(one, text, text), failed(one, text, status=403)]

    for page, plain in zip(pages(shown), pages("x"), strict=True):
        assert Tags(page).found == Tags(plain).found


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], ""),
        ([("Cookie", "a=1; x=2")], "2"),
        ([("Cookie", "a=1"), ("Cookie", "x=2")], "2"),
        ([("cookie", "x=2"), ("Cookie", "b=1")], "2"),
        ([("Cookie", "x=2"), ("Cookie", "x=2")], ""),
    ],
)
def test_a_cookie_is_in_any_of_the_headers(headers: list[tuple[str, str]], value: str) -> None:
    assert Visit("login", "GET", "", CIMultiDict(headers), b"", "192.0.2.1", "", "/").cookie("x") == value


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", "Application/X-WWW-Form-URLencoded ;x"])
def test_a_form_is_read(kind: str) -> None:
    assert visit(body=b"a=1&b=&c=%C3%A9+x", kind=kind).form == {"a": "1", "b": "", "c": "é x"}
    assert visit(body=b"to=/pypi/acme/%3Fq%3D1", kind=kind).return_to == "/pypi/acme/?q=1"


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x", f"text/plain;{FORM}"])
def test_what_is_no_form_is_refused(kind: str) -> None:
    for headers in (CIMultiDict({"Content-Type": kind}), CIMultiDict[str]()):
        posted = Visit("login", "POST", "", headers, b"a=1", "192.0.2.1", "", "/")
        with pytest.raises(BadRequestError, match=r"^not a form$") as refused:
            _ = posted.form
        assert refused.value.public == f"This page takes a form, {FORM}"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"a=1&a=1", "a form with a field twice"),
        (b"a=1&b=2&a=", "a form with a field twice"),
        (b"\xff", "a form that can't be read"),
        (b"a=%ff", "a form that can't be read"),
        ("&".join(f"a{number}=" for number in range(11)).encode(), "a form that can't be read"),
    ],
)
def test_what_is_not_clear_is_refused_in_a_form_and_leads_to_the_index_in_a_query(body: bytes, why: str) -> None:
    with pytest.raises(BadRequestError, match=f"^{why}$") as refused:
        _ = visit(body=body).form
    assert refused.value.public == "The form can't be read"
    with pytest.raises(BadRequestError):
        _ = visit(body=body + b"&to=/pypi/x/").return_to
    assert visit("to=/pypi/x/&" + body.decode("utf-8", "surrogateescape")).return_to == "/pypi/"


def test_a_form_has_few_fields() -> None:
    assert len(visit(body="&".join(f"a{number}=" for number in range(10)).encode()).form) == 10


@pytest.mark.parametrize(
    ("query", "to"),
    [
        ("", "/pypi/"),
        ("to=", "/pypi/"),
        ("to=/", "/pypi/"),
        ("to=/pypi/acme/", "/pypi/acme/"),
        ("x=1&to=/elsewhere/%3Fa%26b", "/elsewhere/?a&b"),
        ("to=//evil.example", "/pypi/"),
        ("TO=/pypi/acme/", "/pypi/"),
    ],
)
def test_a_person_is_led_back_and_else_to_the_index(query: str, to: str) -> None:
    assert visit(query).return_to == to
    posted = visit("to=/pypi/other/", body=f"form=x&{query}".encode())
    assert posted.return_to == to, "the form alone counts"


def test_pages_are_below_the_index() -> None:
    assert visit().url("login") == "/pypi/-/login"
    assert visit(root="/").url("logout") == "/-/logout"
