"""Rules hold unless they are skipped."""

import pytest

from gateway.errors import BadRequestError
from gateway.publish.rules import Rule, Rules, refused


@pytest.mark.parametrize("rule", Rule)
def test_each_rule_can_be_skipped_by_its_name(rule: Rule) -> None:
    skipped = Rules.without([rule.value])
    assert [other for other in Rule if not skipped.hold(other)] == [rule]
    skipped.demand(rule, False, "broken")
    Rules().demand(rule, True, "kept")
    with pytest.raises(BadRequestError) as caught:
        Rules().demand(rule, False, "broken")
    assert caught.value.detail == f"broken (rule {rule.value})"
    assert caught.value.public == f"Invalid file: broken (rule {rule.value})"


def test_there_is_no_other_rule() -> None:
    with pytest.raises(ValueError, match="all"):
        Rules.without(["all"])


def test_what_no_rule_is_about() -> None:
    assert (refused("why").detail, refused("why").public) == ("the archive: why", "Invalid file: why")
