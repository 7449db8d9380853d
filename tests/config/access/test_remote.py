"""The settings of an HTTP service that knows the users."""

import pytest
from pydantic import ValidationError

from gateway.config.access.remote import RemoteSettings


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"url": "https://user:hunter2@auth"},
        {"url": "https://auth/?password=hunter2"},
        {"url": "https://auth", "timeout": 6},
        {"url": "https://auth", "user": "a:b"},
        {"url": "https://auth", "verify_path": "verify"},
        {"url": "https://auth", "groups_path": "/groups?x=hunter2"},
        {"url": "https://auth", "admin_path": "/admin\r\nX: hunter2"},
        {"url": "https://auth", "method": "post"},
    ],
)
def test_settings_that_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        RemoteSettings.model_validate(bad)
    assert "hunter2" not in str(caught.value)


def test_the_password_does_not_show() -> None:
    settings = RemoteSettings.model_validate({"url": "https://auth", "user": "gateway", "password": "hunter2"})
    assert "hunter2" not in repr(settings) + str(settings)
