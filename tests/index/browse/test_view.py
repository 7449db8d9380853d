import pytest

from gateway.index.browse.view import OTHER, headline, install_lines, releases_of, upload_lines
from gateway.index.simple.pages import File, Project


def test_releases_are_in_order_the_newest_first_and_other_files_last() -> None:
    names = ["p-1.9.tar.gz", "p-1.10-py3-none-any.whl", "p-1.10.tar.gz", "notes.txt", "p-2.0rc1.tar.gz"]
    project = Project("p", (), tuple(File(name, name, size=1234567, modified=1700000000.0) for name in names))
    releases = releases_of(project)
    assert [release.version for release in releases] == ["2.0rc1", "1.10", "1.9", OTHER]
    assert [file["name"] for file in releases[1].files] == ["p-1.10-py3-none-any.whl", "p-1.10.tar.gz"]
    assert releases[0].files[0] | {} == {
        "name": "p-2.0rc1.tar.gz",
        "url": "../p-2.0rc1.tar.gz",
        "size": "1.2 MB",
        "date": "2023-11-14",
        "time": "2023-11-14 22:13:20 UTC",
        "uploader": "",
        "source": "",
        "attested": False,
        "ours": False,
        "python": "",
        "sha256": "",
        "yanked": None,
    }


def test_a_release_is_yanked_if_all_of_its_files_are() -> None:
    files = (File("p-1.zip", "x", yanked="bad"), File("p-1.tar.gz", "x", yanked=""), File("p-2.zip", "x", yanked="bad"))
    assert [release.yanked for release in releases_of(Project("p", (), files))] == ["bad", ""]
    assert [release.yanked for release in releases_of(Project("p", (), (*files, File("p-1.tgz", "x"))))] == [
        "bad",
        None,
    ]


@pytest.mark.parametrize(
    ("names", "version"),
    [
        (["p-1.9.zip", "p-1.10.zip"], "1.10"),
        (["p-1.0.zip", "p-2.0rc1.zip", "p-2.1.dev3.zip"], "1.0"),
        (["p-2.0a1.zip", "p-2.0rc1.zip"], "2.0rc1"),
        (["p-1.0.zip", "p-2.0.zip yanked"], "1.0"),
        (["p-1.0.zip yanked", "p-2.0rc1.zip"], "2.0rc1"),
        (["p-1.0.zip", "p-2.0.zip yanked", "p-2.0-py3-none-any.whl"], "2.0"),
        (["p-1.0.tgz", "p-2.0-py3.8.egg", "p-3.0.msi"], "1.0"),
        (["p-1.0.zip yanked", "p-2.0rc1.zip yanked"], None),
        (["notes.zip"], None),
        ([], None),
    ],
)
def test_what_pip_would_install_is_the_headline(names: list[str], version: str | None) -> None:
    files = tuple(
        File(name.partition(" ")[0], "x", yanked="bad" if name.endswith(" yanked") else None) for name in names
    )
    found = headline(releases_of(Project("p", (), files)))
    assert (found.version if found is not None else None) == version


def test_a_release_requires_what_its_files_do_unless_they_are_yanked() -> None:
    files = (
        File("p-1.tar.gz", "x", requires_python=">=3.8", yanked=""),
        File("p-1.zip", "x"),
        File("p-1-py3-none-any.whl", "x", requires_python=">=3.11"),
    )
    [release] = releases_of(Project("p", (), files))
    assert release.requires_python == ">=3.11"


def test_prereleases_are_told_from_releases() -> None:
    files = tuple(File(f"p-{version}.zip", "x") for version in ("1.0", "1.1.dev1", "1.1rc1", "1.0.post1"))
    told = {release.version: release.prerelease for release in releases_of(Project("p", (), files))}
    assert told == {"1.0": False, "1.1.dev1": True, "1.1rc1": True, "1.0.post1": False}


def test_sizes_and_absent_ones() -> None:
    sizes = {
        None: "",
        0: "0 B",
        999: "999 B",
        1000: "1.0 kB",
        123456: "123 kB",
        5 * 10**9: "5.0 GB",
        10**13: "10000 GB",
    }
    for size, text in sizes.items():
        [release] = releases_of(Project("p", (), (File("p-1.zip", "https://x/p-1.zip", size=size),)))
        assert (release.files[0]["size"], release.files[0]["url"], release.date) == (text, "https://x/p-1.zip", "")


def test_pip_takes_plain_http_only_from_this_host() -> None:
    lines = {
        "http://localhost:8080/": "pip install --index-url http://localhost:8080/simple/ p",
        "http://[::1]:8080/": "pip install --index-url http://[::1]:8080/simple/ p",
        "https://packages.example/": "pip install --index-url https://packages.example/simple/ p",
        "http://gateway:8080/x/": "pip install --index-url http://gateway:8080/x/simple/ --trusted-host gateway p",
    }
    for base_url, line in lines.items():
        assert install_lines(base_url, "p")[0] == ("pip", line)


@pytest.mark.parametrize(
    ("backend", "by_folder", "has_prefix", "lines"),
    [
        ("s3", True, False, [("aws", "aws s3 cp dist/ s3://<bucket>/<project>/ --recursive")]),
        ("cloudfront", False, True, [("aws", "aws s3 cp dist/ s3://<bucket>/<prefix>/ --recursive")]),
        ("file", True, False, [("cp", "mkdir -p <directory>/<project>/ && cp dist/* <directory>/<project>/")]),
        ("file", False, False, [("cp", "cp dist/* <directory>/")]),
        ("package.module:Class", True, False, []),
    ],
)
def test_how_an_index_is_filled(backend: str, by_folder: bool, has_prefix: bool, lines: list[tuple[str, str]]) -> None:
    assert upload_lines(backend, by_folder=by_folder, has_prefix=has_prefix) == lines


@pytest.mark.parametrize(
    ("publisher", "shown"),
    [
        (
            '{"kind":"GitHub","repository":"acme/web","sha":"0123456789abcdef","workflow":"release.yml","run":"7"}',
            "acme/web at 0123456789ab, release.yml, run 7",
        ),
        ('{"kind":"GitLab","repository":"acme/web"}', "acme/web"),
        ('{"repository":["x"],"sha":1}', ""),
        ("{}", ""),
        ("[]", ""),
        ("[" * 100_000, ""),
        ("nonsense", ""),
        (None, ""),
    ],
)
def test_the_job_that_has_published_a_file_is_told(publisher: str | None, shown: str) -> None:
    (release,) = releases_of(Project("p", (), (File("p-1.0.tar.gz", "x", publisher=publisher),)))
    assert release.files[0]["source"] == shown
