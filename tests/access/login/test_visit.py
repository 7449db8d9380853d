"""What is read of a request to the login's pages: nothing in it leads elsewhere, and nothing breaks the reading."""

from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

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
