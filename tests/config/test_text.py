"""Settings as people read them."""

from pathlib import Path

import yaml

from gateway.config.load import load, load_with_sources
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS, Settings
from gateway.config.text import in_force, starter


def test_what_is_in_force_is_told_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("server:\n  port: 9000\n  host: '::'\ncache: {memory_bytes: 64MB}\n")
    environ = {"GATEWAY_STORAGE__BUCKET": "packages", "AWS_S3_BUCKET": "other", "GATEWAY_SERVER__HOST": "::1"}
    text = in_force(*load_with_sources({"server.port": "9001"}, config_file=file, environ=environ))
    lines = text.splitlines()
    assert "  port: 9001  # command line" in lines
    assert '  host: "::1"  # environment GATEWAY_SERVER__HOST' in lines
    assert '  bucket: "packages"  # environment GATEWAY_STORAGE__BUCKET' in lines
    assert f"  memory_bytes: 64MB  # {file}:4" in lines
    assert "  min_bytes: 32MiB  # default" in lines
    listed = yaml.safe_load(text)
    assert {section: set(values) for section, values in listed.items()} == {
        section: set(model.model_fields) for section, model in SECTIONS.items() if section not in OPTIONAL_SECTIONS
    }
    assert lines[-1] == "# access: not given"


def test_nothing_secret_is_in_it() -> None:
    secret = "the-secret"
    settings = {
        "storage.aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "storage.aws_secret_access_key": secret,
        "storage.aws_session_token": secret,
        "storage.proxies": f"https=http://user:{secret}@proxy:3128,http=http://proxy:3128",
        "storage.cloud_front_key_string": secret,
        "ops.admin_token": secret,
    }
    text = in_force(*load_with_sources(settings, environ={}, cwd=Path("/")))
    assert secret not in text
    assert '  aws_access_key_id: "AKIA…MPLE"  # command line' in text
    assert '  proxies: {"https": "(hidden)", "http": "http://proxy:3128"}  # command line' in text


def test_a_file_to_start_with_is_the_defaults_until_a_line_is_uncommented(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(starter({}))
    assert load(config_file=file, environ={}) == Settings()
    for line in ("# bucket: null", '# dir: "packages"', "# port: 8080", '# mode: "none"', "# disk_bytes: 10GiB"):
        assert f"  {line}\n" in file.read_text()
    file.write_text(starter({"storage.bucket": "packages", "server.port": "9000"}))
    settings = load(config_file=file, environ={})
    assert (settings.storage.bucket, settings.server.port) == ("packages", 9000)


def test_nothing_secret_of_the_section_access_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "access: {users: {alice: the-hash}, tokens: {keys: [the-key]}, rules: [{projects: a*, read: everyone}]}"
    )
    text = in_force(*load_with_sources(config_file=file, environ={}))
    assert "the-" not in text
    shown = yaml.safe_load(text)["access"]
    assert (shown["users"], shown["tokens"]) == ({"alice": "(hidden)"}, {"keys": ["(hidden)"]})
    assert shown["rules"] == [{"projects": ["a*"], "paths": [], "read": ["everyone"], "only": False}]
