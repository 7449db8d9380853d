"""What rules may say of provenance."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.errors import ConfigError


def rules(text: str) -> dict[str, str]:
    return {"fallback.mode": "mirror", "policy.rules": f"[{{provenance: ['{text}'], verdict: allow}}]"}


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "Invalid",
        "lost",
        "changed",
        "github:acme/web",
        "GitHub:Acme/*",
        "github:*",
        "github:acme/web@release.yml",
        "gitlab@git.example.com:8443:group/project",
        "google:publisher@acme.iam.gserviceaccount.com",
        "circleci:0e3fa5b2",
        "*:*",
        "git*:acme/*",
    ],
)
def test_a_word_or_a_publisher(tmp_path: Path, text: str) -> None:
    [rule] = load(rules(text), environ={}, cwd=tmp_path).policy.rules
    assert rule.provenance == [text]


@pytest.mark.parametrize(
    "text",
    ["*", "n*", "missing", "acme/web", "github", "github:", "github:acme", ":acme/*", "pypi:acme/*", "github: a/b"],
)
def test_what_fits_no_publisher_or_what_is_not_attested(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.rules.*must be none, invalid, lost, changed, or a publisher"):
        load(rules(text), environ={}, cwd=tmp_path)
