"""The form of an upload, in pieces of every size, as clients send it and as nobody should."""

import tracemalloc
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError, ContentTooLargeError
from gateway.publish.form import MAX_FIELDS_BYTES, UploadForm
from tests.support.readers import pieces
from tests.support.uploads import BOUNDARY, fields, form

TYPE = f'multipart/form-data; boundary="{BOUNDARY}"'
FILE = "foo-1.0-py3-none-any.whl"
FIELDS = "fields over 2097152 bytes"
UNREADABLE = "The form of the upload can't be read"
END = f"--{BOUNDARY}--\r\n".encode()
NO_FILE = form(FILE, b"", {}).replace(b'; filename="foo-1.0-py3-none-any.whl"', b"")


def part(head: str, value: bytes = b"") -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + value + b"\r\n"


def named(name: str, *more: str, value: bytes = b"") -> bytes:
    return part("\r\n".join((f'Content-Disposition: form-data; name="{name}"', *more)), value)


CONTENT = named("content", value=b"PK").replace(b'"content"', b'"content"; filename="foo-1.0.tar.gz"')


def read(body: bytes, size: int = 1 << 20) -> tuple[str | None, Mapping[str, list[str]], bytes]:
    found = UploadForm(TYPE, len(body))
    content = b"".join(piece for data in pieces(body, size) for piece in found.feed(data))
    found.finish()
    return found.filename, found.fields, content


def refused(body: bytes, public: str, detail: str) -> None:
    """`detail` is what the log has, or what that begins with."""
    for size in (1 << 20, 7, 1):
        with pytest.raises(BadRequestError) as caught:
            read(body, size)
        assert caught.value.public == public
        assert caught.value.detail.startswith(detail)
        assert len(caught.value.detail) > len("the form: ") or caught.value.detail == detail


@given(
    st.dictionaries(st.sampled_from(["name", "version", "description"]), st.text(max_size=300)),
    st.binary(max_size=1000),
    st.integers(1, 200),
)
def test_what_is_sent_arrives_in_pieces_of_every_size(said: dict[str, str], content: bytes, size: int) -> None:
    said = {name: value.encode("utf-8", "replace").decode() for name, value in said.items()}
    body = form(FILE, content, said, after={"attestations": "[]"})
    values = {name: [value] for name, value in said.items()}
    assert read(body, size) == (FILE, values | {"attestations": ["[]"]}, content)


@pytest.mark.parametrize("content", [b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"\r", b"\r\n\r\n", b""])
def test_a_file_may_look_like_the_end(content: bytes) -> None:
    for size in range(1, 80):
        assert read(form(FILE, content, {}), size)[2] == content


def test_the_fields_are_known_when_the_file_begins() -> None:
    body = form(FILE, b"content", fields(FILE, b"content"))
    found, at = UploadForm(TYPE, len(body)), body.index(b"\r\n\r\ncontent")
    assert list(found.feed(body[:at])) == []
    assert found.filename is None
    assert b"".join(found.feed(body[at : at + 5])) == b"c"
    assert found.filename == FILE
    assert found.fields["version"] == ["1.0"]


def test_values_of_one_name_stay_in_order() -> None:
    body = named("classifiers", value=b"a") + named("classifiers", value="ü".encode()) + CONTENT + END
    assert read(body)[1] == {"classifiers": ["a", "ü"]}


def test_old_distutils_sends_a_line_break_first() -> None:
    assert read(b"\r\n" + CONTENT + END, 1)[2] == b"PK"


def test_a_signature_of_gpg_is_not_read() -> None:
    signature = named("gpg_signature", value=b"\xff")
    for body in (signature + CONTENT, CONTENT + signature):
        assert read(body + END) == ("foo-1.0.tar.gz", {}, b"PK")
    assert read(named("gpg_signature", value=b"x") + CONTENT + END)[1] == {"gpg_signature": ["x"]}


@pytest.mark.parametrize("encoding", ["binary", "8bit", " 7BIT ", ""])
def test_encodings_that_change_nothing(encoding: str) -> None:
    head = f"Content-Transfer-Encoding: {encoding}"
    assert read(named("name", head, "Content-Type: text/plain", value=b"x") + CONTENT + END)[1] == {"name": ["x"]}


def test_what_follows_the_end_is_nobody_s() -> None:
    assert read(CONTENT + END + b"\r\n", 1)[2] == b"PK"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("", "no type"),
        ("text/plain", "text/plain"),
        ("multipart/form-data", "multipart/form-data"),
        ("multipart/mixed; boundary=x", "multipart/mixed"),
        ('multipart/form-data; boundary=""', "multipart/form-data"),
        ('multipart/form-data; boundary="\udcff"', "multipart/form-data"),
        ('multipart/form-data; boundary="ü"', "multipart/form-data"),
        ("multipart/form-data; boundary=" + "x" * 71, "multipart/form-data"),
    ],
)
def test_what_is_no_form(kind: str, told: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        UploadForm(kind, 10)
    assert caught.value.detail == f"an upload of {told}"
    assert caught.value.public == "An upload is a form, multipart/form-data"


def test_boundaries_are_up_to_70_characters() -> None:
    for length in (1, 70):
        UploadForm("Multipart/Form-Data; boundary=" + "x" * length, 10)
    with pytest.raises(BadRequestError) as caught:
        UploadForm('multipart/form-data; boundary="a\nb"', 10)
    assert caught.value.public == UNREADABLE
    assert caught.value.detail == "the form: Invalid characters in boundary"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"preamble\r\n" + CONTENT + END, "no boundary at the start"),
        (b"\r" + CONTENT + END, "no boundary at the start"),
        (b"\n" + CONTENT + END, "no boundary at the start"),
        (b"\r\n\r\n" + CONTENT + END, "no boundary at the start"),
        (b"", "the form: Unexpected end"),
        (b"-", "the form: Unexpected end"),
        (CONTENT, "the form: Unexpected end"),
        (CONTENT + END[:-4], "the form: Unexpected end"),
        (CONTENT.replace(b"\r\n", b"\n") + END, "the form: "),
        (part("X: y") + END, "the form: Missing Content-Disposition"),
        (part("Content-Disposition: attachment; name=content") + END, "the form: Invalid Content-Disposition"),
        (part("no header") + END, "the form: Malformed segment header"),
        (named("a", "Content-Length: 5", value=b"x") + END, "the form: Segment size does not match"),
        (named("a\udcff") + END, "the form: "),
        (named("a", "X: y\0") + CONTENT + END, "a control character in a head"),
        (named("a", "X: y\x7f") + CONTENT + END, "a control character in a head"),
    ],
)
def test_what_is_unreadable(body: bytes, detail: str) -> None:
    refused(body, UNREADABLE, detail)


def test_a_bare_line_break_in_a_head_is_refused_however_it_arrives() -> None:
    refused(named("a\nb") + CONTENT + END, UNREADABLE, "")


@pytest.mark.parametrize(
    ("body", "public", "detail"),
    [
        (END, "The form has no file: the field content", "no file"),
        (named("name", value=b"foo") + END, "The form has no file: the field content", "no file"),
        (NO_FILE, "The field content is not a file", "content is no file"),
        (CONTENT + CONTENT + END, "The form has more than one file", "two files"),
        (CONTENT + named("name") + END, "A field follows the file: send the file last", "'name' after the file"),
        (
            named("_charset_", value=b"latin-1") + CONTENT + END,
            "The form has a field _charset_; all of it is UTF-8",
            "_charset_",
        ),
        (named("name", value=b"\xff") + CONTENT + END, "A field of the form is not UTF-8", "'name' is not UTF-8"),
        (
            part('Content-Disposition: form-data; name="content"; filename=""') + END,
            "The field content is not a file",
            "content is no file",
        ),
    ],
)
def test_what_is_no_upload(body: bytes, public: str, detail: str) -> None:
    refused(body, public, detail)


@pytest.mark.parametrize(
    "head", ["Content-Type: Multipart/mixed", "Content-Transfer-Encoding: base64", "Content-Encoding: gzip"]
)
def test_parts_that_are_nested_or_encoded(head: str) -> None:
    body = named("name", head) + CONTENT + END
    refused(body, "A part of the form is encoded", "part 'name' is nested or encoded")


def test_a_tab_in_a_head_is_in_order() -> None:
    assert read(named("a", "X: y\tz") + CONTENT + END)[1] == {"a": [""]}


def test_fields_without_a_name_are_of_no_use_and_no_harm() -> None:
    assert read(part("Content-Disposition: form-data", b"x") + CONTENT + END)[1] == {"": ["x"]}


def too_large(body: bytes, detail: str = "the form: Maximum segment ") -> None:
    found = UploadForm(TYPE, len(body))
    with pytest.raises(ContentTooLargeError) as caught:
        list(found.feed(body))
    assert caught.value.detail.startswith(detail)


def test_fields_are_bounded() -> None:
    too_large(named("a", value=b"x" * (MAX_FIELDS_BYTES // 2)) * 3, FIELDS)
    too_large(named("a") * 1001)
    too_large(named("a", *["X: y"] * 8))
    too_large(named("a" * 1024))
    too_large(b"--" + BOUNDARY.encode() + b"\r\n" + b"x" * 1025)
    assert len(read(named("a") * 999 + CONTENT + END)[1]["a"]) == 999
    assert read(named("a", *["X: y"] * 7) + CONTENT + END)[1] == {"a": [""]}


def test_fields_of_just_the_size() -> None:
    value = b"x" * (MAX_FIELDS_BYTES - len("description") - len("content"))
    assert len(read(named("description", value=value) + CONTENT + END)[1]["description"][0]) == len(value)
    too_large(named("description", value=value + b"x") + CONTENT + END, FIELDS)
    too_large(CONTENT + named("attestations", value=b"x" * MAX_FIELDS_BYTES) + END, FIELDS)


def test_fields_take_as_much_memory_as_they_have_bytes() -> None:
    """As text, one emoji makes it four times as much."""
    value = "x" * 1_000_000 + "\N{GRINNING FACE}"
    body = named("description", value=value.encode()) + CONTENT
    found = UploadForm(TYPE, len(body))
    tracemalloc.start()
    try:
        for at in range(0, len(body), 1 << 16):
            list(found.feed(body[at : at + (1 << 16)]))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.2 * len(value)
    assert found.fields == {"description": [value]}


def test_no_more_comes_than_was_said() -> None:
    body = CONTENT + END
    with pytest.raises(BadRequestError) as caught:
        list(UploadForm(TYPE, len(body) - 1).feed(body))
    assert caught.value.public == UNREADABLE


def test_nothing_comes_after_an_error() -> None:
    found = UploadForm(TYPE, 1000)
    for _ in range(2):
        with pytest.raises(BadRequestError):
            list(found.feed(f"--{BOUNDARY}\r\nwrong\r\n".encode()))
