from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gateway.config.load import load, load_text
from gateway.config.mounts.settings import MountSettings
from gateway.config.section import Section
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS, Settings
from gateway.errors import ConfigError
from tests.support import settings_doc

ROOT = Path(__file__).parents[2]


def test_config_yaml_lists_every_setting_at_its_default() -> None:
    text = (ROOT / "config.yaml").read_text()
    assert text == settings_doc.yaml_text(), "run: python -m tests.support.settings_doc"
    assert set(yaml.safe_load(text)) == SECTIONS.keys() - OPTIONAL_SECTIONS.keys()
    for section in OPTIONAL_SECTIONS:  # which are comments
        text = text.replace(f"\n# {section}:", f"\n{section}:").replace("\n#   ", "\n  ")
    text = text.replace("\n# mounts:", "\nmounts:")
    listed = yaml.safe_load(text)
    [mount] = listed.pop("mounts")
    assert mount.keys() == {*MountSettings.model_fields, "storage"}
    assert load_text(text[text.index("mounts:") :], "c.yaml").mounts[0].storage.bucket == "team-b-pypi"
    assert {section: set(keys) for section, keys in listed.items()} == {
        section: set(model.model_fields) for section, model in SECTIONS.items()
    }
    assert load(config_file=ROOT / "config.yaml", environ={}) == Settings()


def test_every_setting_has_a_line_of_help() -> None:
    models: list[type[Section]] = [*SECTIONS.values(), MountSettings]
    for model in models:
        for field in model.model_fields.values():
            assert field.description
            assert "\n" not in field.description


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("server.base_path", "pypi/", "/pypi"),
        ("server.base_path", "/", ""),
        ("rewrite.strip_prefix", "/a/b/", "/a/b"),
        ("storage.prefix", "/pypi", "pypi/"),
        ("storage.prefix", "pypi/", "pypi/"),
        ("storage.verify", "false", False),
        ("storage.verify", "true", True),
        ("storage.use_dualstack_endpoint", "yes", True),
        (
            "storage.bucket",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/x",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/x",
        ),
        ("storage.dir", "/srv/packages", Path("/srv/packages")),
        ("server.shutdown_grace", "0", 0.0),
        ("log.access", "off", False),
    ],
)
def test_values_are_normalised(key: str, given: str, value: Any) -> None:
    section, _, name = key.partition(".")
    assert getattr(getattr(load({key: given}, environ={}, cwd=Path("/")), section), name) == value


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("server.port", "65536"),
        ("server.port", "-1"),
        ("server.workers", "0"),
        ("server.shutdown_grace", "-1"),
        ("server.header_timeout", "0"),
        ("server.keepalive_timeout", "inf"),
        ("server.send_timeout", "nan"),
        ("server.trusted_proxies", "10.0.0.0/8, nonsense"),
        ("server.host", ""),
        ("server.unix_socket", ""),
        ("server.tls_cert", "/does/not/exist"),
        ("storage.dir", ""),
        ("storage.backend", "ftp"),
        ("storage.bucket", "s3://packages"),
        ("storage.bucket", "a/b"),
        ("storage.endpoint_url", "minio:9000"),
        ("storage.endpoint_url", "https://user:password@host"),
        ("storage.endpoint_url", "https://:password@host"),
        ("storage.endpoint_url", "https://host?x=y"),
        ("storage.endpoint_url", "http://host:port"),
        ("storage.endpoint_url", "http://host:65536"),
        ("storage.endpoint_url", "http://the host"),
        ("storage.addressing_style", "virtuell"),
        ("storage.max_attempts", "0"),
        ("rewrite.index_document", ""),
        ("rewrite.index_document", "a/index.html"),
        ("log.level", "loud"),
    ],
)
def test_values_that_can_t_be_are_refused(key: str, given: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({key: given}, environ={}, cwd=Path("/"))
    assert [problem.key for problem in refused.value.problems] == [key]


def test_trusted_proxies_come_as_a_list_or_separated_by_commas() -> None:
    networks = load({"server.trusted_proxies": "10.0.0.0/8, ::1"}, environ={}, cwd=Path("/")).server.trusted_proxies
    assert [str(network) for network in networks] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("10.0.0.1/8", "number 1: must be a network, like 10.0.0.0/8 (not 10.0.0.1/8) or 2001:db8::/32"),
        ("10.0.0.0/8,*", "number 2: must be a network, like 10.0.0.0/8 (not 10.0.0.1/8) or 2001:db8::/32"),
    ],
)
def test_a_network_that_can_t_be_is_refused_with_its_reason(given: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({"server.trusted_proxies": given}, environ={}, cwd=Path("/"))
    assert [problem.message for problem in refused.value.problems] == [reason]


@pytest.mark.parametrize(
    ("settings", "backend"),
    [
        ({}, "file"),
        ({"storage.bucket": "packages"}, "s3"),
        ({"storage.bucket": "p12", "storage.backend": "file"}, "file"),
    ],
)
def test_the_backend_is_s3_if_there_is_a_bucket(settings: dict[str, str], backend: str) -> None:
    assert load(settings, environ={}, cwd=Path("/")).storage.resolved_backend == backend


def test_secrets_don_t_show() -> None:
    settings = load(
        {
            "storage.aws_access_key_id": "AKID",
            "storage.aws_secret_access_key": "the-secret",
            "storage.aws_session_token": "the-token",
        },
        environ={},
        cwd=Path("/"),
    )
    for shown in (repr(settings), str(settings), repr(settings.storage), settings.model_dump_json()):
        assert "the-secret" not in shown
        assert "the-token" not in shown


def test_urls_by_project_may_be_text() -> None:
    url = "https://pypi.org/simple/my-project/"
    section = SECTIONS["index"]
    expected = {"my-project": [url, "https://b.example/x/"]}
    for value in (
        expected,
        f"My.Project={url}, My.Project=https://b.example/x/",
        {"My_Project": expected["my-project"]},
    ):
        assert section.model_validate({"tracks": value}).tracks == expected  # type: ignore[attr-defined]
    assert section.model_validate({"tracks": {"a": url}}).tracks == {"a": [url]}  # type: ignore[attr-defined]
    for bad in ("a", {"a": "x"}, {"a": [7]}, ["a"], {"a": {"b": "c"}}):
        with pytest.raises(ValidationError):
            section.model_validate({"tracks": bad})


@pytest.mark.parametrize(("key", "given"), [("storage.prefix", ".pypi"), ("rewrite.add_prefix", "/a/.b")])
def test_a_directory_has_no_names_with_a_dot_in_front(key: str, given: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({key: given}, environ={}, cwd=Path("/"))
    assert [(problem.key, "with a dot" in problem.message) for problem in refused.value.problems] == [(key, True)]
    load({key: given, "storage.bucket": "packages"}, environ={}, cwd=Path("/"))
