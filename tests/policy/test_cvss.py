import pytest

from gateway.policy.advisory import Severity
from gateway.policy.cvss import base_score, rating


@pytest.mark.parametrize(
    ("vector", "score"),
    [  # from the specification's examples, and from advisories
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 4.2),
        ("CVSS:3.0/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N", 4.6),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
        ("CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H", 9.3),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H/E:P/RL:O", 7.5),
    ],
)
def test_the_base_score_of_a_vector(vector: str, score: float) -> None:
    assert base_score(vector) == score


@pytest.mark.parametrize(
    "vector",
    [
        "",
        "7.5",
        "CVSS:3.1",
        "CVSS:4.0/AV:N",
        "AV:N/AC:L/Au:N/C:N/I:N/A:C",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:X/C:N/I:N/A:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N",
        "CVSS:3.1/" + "AV:N/" * 100,
    ],
)
def test_what_is_no_vector_of_version_3(vector: str) -> None:
    with pytest.raises(ValueError, match=r"CVSS"):
        base_score(vector)


def test_ratings() -> None:
    scores = (0.0, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10.0)
    low, medium, high, critical = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
    assert [rating(score) for score in scores] == [low, low, medium, medium, high, high, critical, critical]
