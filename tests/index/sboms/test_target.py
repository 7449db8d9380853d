"""Which keys stand for SBOMs."""

import pytest

from gateway.index.sboms.target import SbomTarget, may_be_of_sboms, sbom_target

WHEEL = "acme-web/acme_web-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (f"{WHEEL}.sboms/", SbomTarget(WHEEL, "")),
        (f"{WHEEL}.sboms/a.json", SbomTarget(WHEEL, "a.json")),
        (f"{WHEEL}.sboms/deep/a.json", SbomTarget(WHEEL, "deep/a.json")),
        (f"{WHEEL}.sboms//a.json", SbomTarget(WHEEL, "/a.json")),
        (f"{WHEEL}.sboms/{WHEEL}.sboms/a", SbomTarget(WHEEL, f"{WHEEL}.sboms/a")),
        (f"simple/{WHEEL}.sboms/", SbomTarget(f"simple/{WHEEL}", "")),
        ("acme_web-1.0-py3-none-any.whl.sboms/", SbomTarget("acme_web-1.0-py3-none-any.whl", "")),
        (f"{WHEEL}.sboms", None),
        (f"{WHEEL}.sbom/a.json", None),
        (WHEEL, None),
        ("acme-web/notes.whl.sboms/a.json", None),
        ("acme-web/.whl.sboms/", None),
        ("acme-web/acme_web-1.0.tar.gz.sboms/", None),
        (f"notes.whl.sboms/{WHEEL}.sboms/", None),
    ],
)
def test_a_key(key: str, expected: SbomTarget | None) -> None:
    assert sbom_target(key) == expected
    assert expected is None or may_be_of_sboms(key)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "../../acme-web/x.whl.sboms/"),
        ("a b.json", "../../acme-web/x.whl.sboms/a%20b.json"),
        ("a/b/c.json", "../../../../acme-web/x.whl.sboms/a/b/c.json"),
    ],
)
def test_the_same_of_another_wheel(path: str, expected: str) -> None:
    assert SbomTarget("Acme_Web/x.whl", path).beside("../acme-web/x.whl") == expected
