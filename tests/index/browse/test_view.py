from gateway.index.browse.view import OTHER, install_lines, releases_of
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
