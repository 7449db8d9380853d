"""Single links of static pages, changed in place."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.page_edit import with_file, with_project, with_status, with_yank, without_file
from gateway.index.simple.pages import File, Project, project_html, root_html
from gateway.index.simple.static_page import names_of, project_of

OLD = File("a-1.0.tar.gz", "a-1.0.tar.gz", hashes={"sha256": "11" * 32}, requires_python=">=3.8")
NEW = File("a-1.1.tar.gz", "a-1.1.tar.gz", hashes={"sha256": "22" * 32}, requires_python="<4", yanked='"no" & <no>')
# As s3pypi writes it.
S3PYPI = """<!DOCTYPE html>
<html>
<head>
    <title>Links for a</title>
</head>
<body>
    <h1>Links for a</h1>
    <!-- <a href="a-0.9.tar.gz">a-0.9.tar.gz</a> -->
    <a href="a-1.0.tar.gz#sha256={digest}">a-1.0.tar.gz</a><br>
</body>
</html>""".format(digest="11" * 32)
ROOT = S3PYPI.replace(f"a-1.0.tar.gz#sha256={'11' * 32}", "alpha/").replace(">a-1.0.tar.gz<", ">alpha<")

NAMES = [f"a-{number}.tar.gz" for number in range(6)]
FILES = st.builds(
    File,
    st.sampled_from(NAMES),
    st.just("x"),
    hashes=st.sampled_from([{}, {"sha256": "ab" * 32}]),
    requires_python=st.none() | st.sampled_from([">=3", "<4,>=3.1"]),
    yanked=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=9),
    has_metadata=st.booleans(),
).map(lambda file: replace(file, url=file.name))


def files_of(page: str) -> list[File]:
    return [*project_of("a", page).files]


def test_a_file_is_added_behind_the_others_and_nothing_else_changes() -> None:
    page = with_file(S3PYPI, NEW)
    assert files_of(page) == [*files_of(S3PYPI), NEW]
    lines = page.splitlines()
    added = lines.pop(9)
    assert added.startswith('    <a href="a-1.1.tar.gz#sha256=2222')
    assert added.endswith(">a-1.1.tar.gz</a><br>")
    assert "\n".join(lines) == S3PYPI


def test_a_link_that_is_there_stays_as_it_is_unless_its_hash_is_another() -> None:
    page = with_yank(with_file(S3PYPI, NEW), OLD.name, "why")
    assert with_file(page, replace(OLD, url="elsewhere")) == page
    other = replace(OLD, hashes={"sha256": "33" * 32}, requires_python="<4")
    assert files_of(with_file(page, other)) == [replace(other, yanked="why"), NEW]
    twice = page.replace("</body>", '    <a href="../x/a-1.0.tar.gz">again</a>\n</body>')
    assert [file.hashes for file in files_of(with_file(twice, other))] == [other.hashes, NEW.hashes, other.hashes]
    assert files_of(without_file(twice, OLD.name)) == [NEW]


def test_a_file_is_taken_off_with_its_line() -> None:
    assert without_file(with_file(S3PYPI, NEW), NEW.name) == S3PYPI
    assert without_file(S3PYPI, "a-0.9.tar.gz") == S3PYPI  # in a comment
    assert without_file("<a href=a-1.0.tar.gz>x</a> <a href=b-1.0.tar.gz>y</a>", "a-1.0.tar.gz") == (
        " <a href=b-1.0.tar.gz>y</a>"
    )


def test_what_is_around_a_link_that_goes_becomes_no_tag() -> None:
    page = "<<a href=a-1.0.tar.gz>a<script><a href=a-1.1.tar.gz>"
    assert without_file(page, "a-1.0.tar.gz") == "< a<script><a href=a-1.1.tar.gz>"


def test_a_link_is_marked_and_the_mark_taken_away() -> None:
    page = with_yank(S3PYPI, OLD.name, "it <breaks>")
    assert files_of(page)[0].yanked == "it <breaks>"
    assert files_of(page)[0].hashes == OLD.hashes
    assert with_yank(page, OLD.name, None) == S3PYPI
    assert with_yank(S3PYPI, "other", "") == S3PYPI


def test_a_project_is_added_once_to_the_root_s_page() -> None:
    page = with_project(ROOT, "beta")
    assert names_of(page) == ["alpha", "beta"]
    assert '\n    <a href="beta/">beta</a><br>\n</body>' in page
    assert with_project(page, "beta") == page
    assert with_project(ROOT.replace("alpha", "Al_pha"), "al-pha") == ROOT.replace("alpha", "Al_pha")


@pytest.mark.parametrize("page", ["", "<html><body></body></html>", "<h1>Nothing</h1>\n</html>", "<p>text"])
def test_a_page_without_links_gets_its_first_one(page: str) -> None:
    assert files_of(with_file(page, NEW)) == [NEW]
    assert "</a><br>\n</body>" in with_file(page, NEW) if "</body>" in page else True


def test_a_link_that_is_not_ended_ends_where_the_next_begins() -> None:
    page = "<a href=a-1.0.tar.gz>one<a href=a-1.1.tar.gz>two"
    assert without_file(page, "a-1.0.tar.gz") == "<a href=a-1.1.tar.gz>two"
    assert [file.name for file in files_of(without_file(page, "a-1.1.tar.gz"))] == ["a-1.0.tar.gz"]


def test_a_mark_changes_nothing_else_in_a_link() -> None:
    link = "<A class=x rel=\"internal\"/data-gpg-sig=true HREF='a-1.0.tar.gz?v=2#md5={}&egg=a'>the <b>first</b></A >"
    page = "\n".join(["<p>", link.format("11" * 16), "</p>"])
    marked = with_yank(page, OLD.name, 'it "breaks"')
    assert marked == page.replace("<A ", '<A data-yanked="it &quot;breaks&quot;" ')
    assert with_yank(marked, OLD.name, None) == page
    twice = '<a data-YANKED=x href=a-1.0.tar.gz data-yanked="1"/class=b data-yanked>'
    assert with_yank(twice, OLD.name, None) == "<a href=a-1.0.tar.gz /class=b>"
    assert with_yank(twice, OLD.name, "") == '<a data-yanked="" href=a-1.0.tar.gz /class=b>'


def test_a_character_that_can_t_be_written_in_ascii_is_replaced() -> None:
    page = with_yank(S3PYPI, OLD.name, "ä\x80\ufffe€🐍\n")
    assert page.isascii()
    assert files_of(page)[0].yanked == "ä\ufffd\ufffd€🐍\n"


def test_what_a_link_said_of_other_bytes_goes() -> None:
    old = f'<a class=x href="a-1.1.tar.gz#md5={"11" * 16}" data-core-metadata="sha256={"44" * 32}" data-yanked>x</a>'
    assert files_of(with_file(old, NEW)) == [replace(NEW, yanked="", has_metadata=True)]
    assert "<a " in with_file(old, NEW)
    assert " class=x " in with_file(old, NEW)


@pytest.mark.parametrize(
    "page",
    [
        "<a href=a-1.0.tar.gz>x <!-- </a> <a href=b> --> y</a>",
        "<a href=a-1.0.tar.gz>x<script>'</a>'</script></a>",
        "<a href=a-1.0.tar.gz>x<p title='</a>'></p></a>",
    ],
)
def test_an_end_that_is_none_ends_no_link(page: str) -> None:
    assert without_file(page, OLD.name) == ""
    assert with_file(page, NEW).startswith(page)


def test_a_first_link_is_not_put_where_nobody_sees_it() -> None:
    page = "<html><!-- </body> --><script>'</html>'</script>\n</BODY ></html>"
    assert files_of(with_file(page, NEW)) == [NEW]
    for hidden in ("<!--", "<title>a", "<p class='", "</a><script>", "<a href="):
        with pytest.raises(ValueError, match="ends within"):
            with_file(hidden, NEW)


TAGS = ["<a href=a-1.tar.gz>", "<a href=b-1.zip>", "</a>", "<br>", "<script>", "</script>", "<!--", "-->"]
TEXTS = ["<", ">", "a", "/a", " href=", " data-yanked", "=", '"', "'", "/", " ", "\n", "a-1.tar.gz", "&gt"]
PIECES = st.lists(st.sampled_from(TAGS + TEXTS), max_size=25).map("".join)


@given(PIECES, st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=3))
def test_whatever_the_page_only_the_wanted_link_changes(page: str, reason: str | None) -> None:
    before, wanted = files_of(page), "a-1.tar.gz"
    marked = with_yank(page, wanted, reason)
    assert files_of(marked) == [replace(each, yanked=reason) if each.name == wanted else each for each in before]
    assert with_yank(marked, wanted, reason) == marked
    left = files_of(without_file(page, wanted))
    assert left == [each for each in before if each.name != wanted]
    with suppress(ValueError):
        assert files_of(with_file(page, NEW)) == [*before, NEW]


@given(st.lists(FILES, max_size=5, unique_by=lambda file: file.name), FILES, st.none() | st.just("why"))
def test_a_changed_page_is_that_of_the_changed_files(files: list[File], file: File, reason: str | None) -> None:
    page = project_html(Project("a", (), tuple(files))).decode()
    others = [each for each in files if each.name != file.name]
    added = {each.name: each for each in files_of(with_file(page, file))}
    assert added.keys() == {each.name for each in [*files, file]}
    before = {each.name: each.hashes for each in files}
    assert added[file.name].hashes == (file.hashes or before.get(file.name, {}))
    assert {name: each for name, each in added.items() if name != file.name} == {each.name: each for each in others}
    assert files_of(without_file(page, file.name)) == others
    marked = {each.name: each.yanked for each in files_of(with_yank(page, file.name, reason))}
    assert marked == {each.name: reason if each.name == file.name else each.yanked for each in files}
    assert without_file(with_file(page, file), file.name) == without_file(page, file.name)


@pytest.mark.parametrize(
    "page",
    [
        "<a href=a-1.0.tar.gz>x</a " * 40_000,
        "<a href=a-1.0.tar.gz>" * 40_000,
        "<a href=a-1.0.tar.gz></a><br>\n" * 30_000,
        "</a" * 200_000 + "<a href=x>" * 1000,
        "<a/href=a-1.0.tar.gz>" * 10_000,
        "<a " + "x data-yanked href=y " * 30_000 + "href=a-1.0.tar.gz>",
        " " * 8_000_000,
    ],
    ids=["unended", "unclosed", "many", "ends", "slashes", "attributes", "blanks"],
)
def test_a_hostile_page_takes_a_bounded_time(page: str) -> None:
    begin = time.process_time()
    with suppress(ValueError):
        with_yank(without_file(with_file(page, NEW), "a-1.0.tar.gz"), "y", "why")
    assert time.process_time() - begin < 8


def test_a_page_with_more_links_than_any_is_refused() -> None:
    page = root_html(f"p{number}" for number in range(400_000)).decode()
    changes: list[Callable[[], str]] = [
        lambda: with_file(page, NEW),
        lambda: without_file(page, "a"),
        lambda: with_project(page, "a"),
    ]
    for change in changes:
        with pytest.raises(ValueError, match="more links"):
            change()


BARE = '<a href="x-1.0.tar.gz">x</a>'


@pytest.mark.parametrize(
    ("page", "marked"),
    [
        (BARE, "META\n" + BARE),
        ("<!DOCTYPE html>\n" + BARE, "<!DOCTYPE html>\nMETA\n" + BARE),
        (f"<html>\n<body>{BARE}", f"<html>\n    META\n<body>{BARE}"),
        (f"<head>\n\t<meta charset=utf-8>\n<title>x</title></head>{BARE}", None),
        ("<!DOCTYPE html>" + BARE, "<!DOCTYPE html>META" + BARE),
        (f"<html><head><!-- <meta name=x> --></head>{BARE}<meta name=late>", None),
    ],
)
def test_a_status_is_said_at_the_start_and_taken_back(page: str, marked: str | None) -> None:
    meta = '<meta name="pypi:project-status" content="archived">'
    found = with_status(page, "archived", "")
    assert marked is None or found == marked.replace("META", meta)
    assert found.index(meta) < found.index(BARE)
    assert with_status(found, "archived", "") == found
    other = with_status(found, "quarantined", "it's <bad>")
    project = project_of("x", other)
    assert (project.status, project.status_reason, len(project.files)) == ("quarantined", "it's <bad>", 1)
    assert with_status(other, None, "") == page


def test_what_is_no_html_gets_no_status() -> None:
    for page in ("", '{"files": []}'):
        with pytest.raises(ValueError, match="no tags"):
            with_status(page, "archived", "")
        assert with_status(page, None, "") == page
