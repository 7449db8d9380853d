"""What is read of the fields with which somebody changes a release."""

from collections.abc import Mapping

import pytest
from packaging.version import Version

from gateway.errors import BadRequestError
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.management.fields import change_of

YANK = {"action": "yank", "version": "1.0"}
DELETE = {"action": "delete", "version": "1.0"}


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        (YANK, Change(Action.YANK, "acme-web", Version("1"))),
        (YANK | {"reason": "breaks"}, Change(Action.YANK, "acme-web", Version("1"), reason="breaks")),
        (YANK | {"file": "a.whl", "form": "t"}, Change(Action.YANK, "acme-web", Version("1"), "a.whl")),
        (YANK | {"reason": "", "forget": ""}, Change(Action.YANK, "acme-web", Version("1"))),
        ({"action": "unyank", "version": "2rc1"}, Change(Action.UNYANK, "acme-web", Version("2.0rc1"))),
        (DELETE | {"forget": "on"}, Change(Action.DELETE, "acme-web", Version("1"), forget=True)),
    ],
)
def test_a_change(fields: Mapping[str, str], change: Change) -> None:
    assert change_of("Acme_Web", fields) == change


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "action is yank, unyank, delete"),
        ({"action": "erase", "version": "1.0"}, "action is yank, unyank, delete"),
        ({"action": "yank"}, "version is a version"),
        ({"action": "yank", "version": "latest"}, "version is a version"),
        ({"action": "yank", "version": "1" * 5000}, "version is a version"),
        (DELETE | {"files": "a.whl"}, "no field 'files'; there are action, file, forget, form, reason, version"),
        (DELETE | {"file": ""}, "file is the name of a file"),
        (DELETE | {"forget": "no"}, "forget is yes"),
        (YANK | {"forget": "yes"}, "forget is yes"),
    ],
)
def test_what_is_none_is_refused_and_never_a_change_of_more(fields: Mapping[str, str], why: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        change_of("acme-web", fields)
    assert why in caught.value.public
    assert caught.value.public == f"Invalid change: {caught.value.detail}"
    assert len(caught.value.public) < 300
