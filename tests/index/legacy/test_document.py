"""The documents of PyPI's JSON API, field by field."""

import json
from typing import Any

from packaging.version import Version

from gateway.index.legacy.document import Described, document
from gateway.index.legacy.info import nothing_told
from gateway.index.legacy.releases import ProjectReleases, releases_of
from gateway.index.simple.pages import File, Project
from gateway.policy.advisory import Advisory, VersionRange

ROOT = "https://gateway/team/"
WHEEL = File(
    "foo-1.0-cp311-abi3-linux_x86_64.whl",
    "foo/foo-1.0-cp311-abi3-linux_x86_64.whl",
    7,
    1_700_000_000.25,
    {"sha256": "ab", "md5": "cd"},
    ">=3.9",
    "",
    has_metadata=True,
    metadata_sha256="ef",
)
SDIST = File("foo-1.0.tar.gz", "https://elsewhere/foo-1.0.tar.gz", yanked="bad")
OLD = File("foo-0.9.tar.gz", "foo/foo-0.9.tar.gz")
FILES = releases_of(Project("foo", (), (SDIST, WHEEL, OLD)))


def read(
    releases: ProjectReleases | None = None,
    version: str = "1.0",
    info: Any = None,
    advisories: Any = (),
    root: str = ROOT,
) -> Any:
    files = FILES.files.get(Version(version), ())
    described = Described("foo", Version(version), files, nothing_told() | (info or {}), advisories)
    return json.loads(document(described, releases, root))


def test_a_file() -> None:
    wheel, sdist = read()["urls"]
    assert wheel == {
        "filename": WHEEL.name,
        "url": f"{ROOT}foo/{WHEEL.name}",
        "size": 7,
        "digests": {"sha256": "ab", "md5": "cd"},
        "md5_digest": "cd",
        "packagetype": "bdist_wheel",
        "python_version": "cp311",
        "requires_python": ">=3.9",
        "upload_time": "2023-11-14T22:13:20",
        "upload_time_iso_8601": "2023-11-14T22:13:20.250000Z",
        "yanked": True,
        "yanked_reason": None,
        "core-metadata": {"sha256": "ef"},
        "comment_text": "",
        "downloads": -1,
        "has_sig": False,
    }
    assert sdist["url"] == "https://elsewhere/foo-1.0.tar.gz"
    assert (sdist["packagetype"], sdist["python_version"], sdist["core-metadata"]) == ("sdist", "source", False)
    assert (sdist["yanked"], sdist["yanked_reason"]) == (True, "bad")
    assert [sdist[name] for name in ("size", "md5_digest", "requires_python")] == [None] * 3
    assert not [name for name in sdist if name.startswith("upload_time")]


def test_other_kinds_of_files() -> None:
    names = ("foo-2.0-py3.11.egg", "foo-2.0.win32-py2.7.exe", "foo-2.0.rpm", "foo-2.0.zip")
    releases = releases_of(Project("foo", (), tuple(File(name, "") for name in names)))
    described = Described("foo", Version("2.0"), releases.files[Version("2.0")], nothing_told(), ())
    found = {file["filename"]: file for file in json.loads(document(described, None, ROOT))["urls"]}
    kinds = [(found[name]["packagetype"], found[name]["python_version"]) for name in names]
    assert kinds == [("bdist_egg", "3.11"), ("bdist_wininst", "any"), ("bdist_rpm", "any"), ("sdist", "source")]


def test_a_project_lists_all_its_releases_and_a_version_does_not() -> None:
    found = read(FILES)
    assert {version: [file["filename"] for file in files] for version, files in found["releases"].items()} == {
        "0.9": [OLD.name],
        "1.0": [WHEEL.name, SDIST.name],
    }
    assert found["releases"]["1.0"] == found["urls"]
    assert found["last_serial"] == 0
    assert "releases" not in read()


def test_what_is_said_of_the_release() -> None:
    info = read(info={"name": "Foo", "summary": "Does \ud800 things", "requires_python": ">=3"})["info"]
    assert (info["name"], info["version"], info["summary"]) == ("Foo", "1.0", "Does \ud800 things")
    assert info["requires_python"] == ">=3.9"  # as the page has it
    assert (info["yanked"], info["yanked_reason"]) == (True, "bad")
    assert info["package_url"] == info["project_url"] == info["release_url"] == f"{ROOT}foo/"
    assert read(info={"name": "other"})["info"]["name"] == "foo"


def test_only_what_affects_the_version_is_a_vulnerability_of_it() -> None:
    fixed = Advisory("PYSEC-1", "Runs code", ("CVE-1",), ranges=(VersionRange(None, Version("1.1")),))
    backported = Advisory("GHSA-2", ranges=tuple(VersionRange(None, Version(v)) for v in ("1.10", "1.9")))
    later = Advisory("PYSEC-3", versions=frozenset({Version("1.1")}))
    first, second = read(advisories=[fixed, backported, later])["vulnerabilities"]
    assert first == {
        "id": "PYSEC-1",
        "aliases": ["CVE-1"],
        "summary": "Runs code",
        "details": "Runs code",
        "fixed_in": ["1.1"],
        "link": "https://osv.dev/vulnerability/PYSEC-1",
        "source": "osv",
        "withdrawn": None,
    }
    assert (second["id"], second["summary"], second["fixed_in"]) == ("GHSA-2", None, ["1.9", "1.10"])
    assert read()["vulnerabilities"] == []


def test_a_version_without_files_may_have_vulnerabilities() -> None:
    one = Advisory("MAL-1", versions=frozenset({Version("7.0")}))
    found = read(version="7.0", advisories=[one], root="../../../")
    assert (found["urls"], [each["id"] for each in found["vulnerabilities"]]) == ([], ["MAL-1"])
    assert (found["info"]["version"], found["info"]["yanked"]) == ("7.0", False)
    assert found["info"]["package_url"] == "../../../foo/"
