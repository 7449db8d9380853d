"""Settings as people read them."""

from pathlib import Path

import yaml

from gateway.config.load import load, load_with_sources
from gateway.config.mounts.settings import SECTIONS_OF_MOUNTS, MountSettings
from gateway.config.settings import OPTIONAL_SECTIONS, SECTIONS, Settings
from gateway.config.text import in_force, of_mount, starter


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


MOUNTS = """\
storage: {bucket: my-pypi, prefix: pypi/}
index: {refresh: 5, layout: flat}
mounts:
- name: team-b
  path: /team-b
  storage: {bucket: b-b, aws_access_key_id: b, aws_secret_access_key: the-secret}
  index: {refresh: 5}
  access: {users: {alice: the-hash}}
- {name: part, host: b.example.org, storage: {prefix: part/}}
- {name: all, path: /all, members: [default, part]}
"""


def test_a_mount_is_told_by_what_is_not_as_at_the_top_level(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(MOUNTS)
    environ = {"GATEWAY_MOUNTS__TEAM_B__STORAGE__PROFILE_NAME": "b"}
    text = in_force(*load_with_sources({"mounts.part.index.browse": "no"}, config_file=file, environ=environ))
    assert (
        text.partition("# access: not given\n")[2]
        == f"""\
mounts:
  - name: "team-b"  # {file}:4
    path: "/team-b"  # {file}:5
    storage:
      bucket: "b-b"  # {file}:6
      prefix: ""  # default
      profile_name: "b"  # environment GATEWAY_MOUNTS__TEAM_B__STORAGE__PROFILE_NAME
      aws_access_key_id: "(hidden)"  # {file}:6
      aws_secret_access_key: "(hidden)"  # {file}:6
      expire_after: 300  # default
      buffer_time: 150  # default
    index:
      refresh: 5.0  # {file}:7
    access:
      users: {{"alice": "(hidden)"}}  # {file}:8
  - name: "part"  # {file}:9
    host: "b.example.org"  # {file}:9
    storage:
      prefix: "part/"  # {file}:9
    index:
      browse: false  # command line
  - name: "all"  # {file}:10
    path: "/all"  # {file}:10
    members: ["default", "part"]  # {file}:10"""
    )
    assert [mount["name"] for mount in yaml.safe_load(text)["mounts"]] == ["team-b", "part", "all"]


def test_all_of_one_mount_is_told_with_its_sources(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(MOUNTS)
    settings, sources = load_with_sources(config_file=file, environ={})
    text = of_mount(settings.mounts[0], sources)
    assert "the-" not in text
    lines = text.splitlines()
    for line in ('path: "/team-b"', '  prefix: ""', '  layout: "flat"', "  refresh: 5.0", '  strip_prefix: ""'):
        assert any(one.startswith(f"{line}  # ") for one in lines), line
    assert f'  layout: "flat"  # {file}:2' in lines
    assert yaml.safe_load(text).keys() == {*MountSettings.model_fields, *SECTIONS_OF_MOUNTS}
    assert yaml.safe_load(of_mount(settings.mounts[2], sources)).keys() == MountSettings.model_fields.keys()
    assert of_mount(settings, sources) == in_force(settings, sources).partition("\nmounts:")[0]


def test_a_top_level_that_is_no_mount_is_told(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    for top, is_told in (("", True), ("storage: {bucket: my-pypi}\n", False)):
        file.write_text(f"{top}mounts: [{{name: b, path: /b, storage: {{bucket: b-b}}}}]")
        said = in_force(*load_with_sources(config_file=file, environ={}))
        assert ("# The top level is no mount itself: it names no bucket" in said) is is_told
