import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.load import load, near_misses
from gateway.errors import ConfigError


def problems(*args: Any, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(*args, **options)
    return [str(problem) for problem in refused.value.problems]


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: 1, workers: 2, host: file}\nops: {port: 9}\n")
    environ = {"GATEWAY_SERVER__PORT": "3", "GATEWAY_SERVER__HOST": "environment"}
    settings = load({"server.port": "4"}, environ=environ, cwd=tmp_path)
    assert (settings.server.port, settings.server.host, settings.server.workers) == (4, "environment", 2)
    assert settings.server.max_connections == 1024


def test_the_names_of_the_nginx_setup_stand_between_environment_and_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("storage: {bucket: of-file, aws_access_key_id: of-file}\n")
    nginx = {"AWS_S3_BUCKET": "of-nginx", "AWS_ACCESS_KEY": "id", "AWS_SECRET_KEY": "secret"}
    storage = load(environ=nginx, cwd=tmp_path).storage
    assert (storage.bucket, storage.aws_access_key_id) == ("of-nginx", "id")
    assert storage.aws_secret_access_key is not None
    assert storage.aws_secret_access_key.get_secret_value() == "secret"
    assert load(environ=nginx | {"GATEWAY_STORAGE__BUCKET": "ours"}, cwd=tmp_path).storage.bucket == "ours"


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    kubernetes = {
        "GATEWAY_PORT": "tcp://10.0.0.1:8080",
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    }
    assert load(environ=kubernetes, cwd=tmp_path).server.port == 8080


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("GATEWAY_STORAGE_BUCKET", "packages", ["GATEWAY_STORAGE_BUCKET", "storage.bucket", "GATEWAY_STORAGE__BUCKET"]),
        ("GATEWAY_SERVER_BASE_PATH", "/x", ["GATEWAY_SERVER_BASE_PATH", "server.base_path"]),
        ("GATEWAY_SERVER_PORT", "tcp://10.0.0.1:80", []),
        ("GATEWAY_STORAGE_BUCKET", "", []),
        ("GATEWAY_STORAGE__BUCKET", "packages", []),
        ("GATEWAY_PORT", "80", []),
    ],
)
def test_a_variable_that_lacks_an_underscore_is_told_and_left_alone(name: str, text: str, said: list[str]) -> None:
    environ = {name: text}
    hints = near_misses(environ)
    assert len(hints) == bool(said)
    assert all(part in hints[0] for part in said)
    assert "packages" not in "".join(hints)


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    environ = {"GATEWAY_SERVER__PORT": "", "GATEWAY_STORAGE__TYPO": "", "AWS_S3_BUCKET": "", "GATEWAY_CONFIG": ""}
    assert load(environ=environ, cwd=tmp_path).storage.bucket is None


def test_the_file_is_the_one_named_by_flag_else_by_variable_else_in_the_directory(tmp_path: Path) -> None:
    for name, port in (("flag.yaml", 1), ("variable.yaml", 2), ("config.yaml", 3)):
        (tmp_path / name).write_text(f"server: {{port: {port}}}")
    environ = {"GATEWAY_CONFIG": str(tmp_path / "variable.yaml")}
    assert load(config_file=tmp_path / "flag.yaml", environ=environ, cwd=tmp_path).server.port == 1
    assert load(environ=environ, cwd=tmp_path).server.port == 2
    assert load(environ={}, cwd=tmp_path).server.port == 3


@pytest.mark.parametrize("text", ["# nothing\n", "server:\n", "server: null\n", "server: {port: null}\n", "{}"])
def test_what_is_empty_means_the_defaults(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert load(environ={}, cwd=tmp_path) == load(environ={}, cwd=Path("/"))


def test_every_mistake_is_told_at_once_with_its_key_and_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        """\
server:
  port: eighty
  hots: localhost
storage:
  aws_secret_access_key: [very-secret]
  bukcet:
log: loud
cache: {xyz: /x}
frobnicate: 1
acces: {}
"""
    )
    environ = {"GATEWAY_STORAGE__BUKET": "x", "GATEWAY_REWRIT__STRIP_PREFIX": "/x"}
    found = problems({"server.prot": "1", "port": "2"}, environ=environ, cwd=tmp_path)
    assert found == [
        f"server.hots ({file}:3): is not a setting; did you mean server.host?",
        f"storage.bukcet ({file}:6): is not a setting; did you mean storage.bucket?",
        f"log ({file}:7): must be a mapping of settings",
        f"cache.xyz ({file}:8): is not a setting; there are memory_bytes, object_max_bytes, dir, disk_bytes, "
        "index_ttl, file_ttl, negative_ttl, allow_bypass, immutable_files, prefetch, stale_if_error",
        f"frobnicate ({file}:9): is not a setting; "
        "there are server, storage, rewrite, index, site, fallback, policy, cache, parallel, ops, log, tracing, "
        "publish, cors, access",
        f"acces ({file}:10): is not a setting; did you mean section access?",
        "rewrit.strip_prefix (environment GATEWAY_REWRIT__STRIP_PREFIX): is not a setting; "
        "did you mean section rewrite?",
        "storage.buket (environment GATEWAY_STORAGE__BUKET): is not a setting; did you mean storage.bucket?",
        "server.prot (command line): is not a setting; did you mean server.port?",
        "port (command line): is not a section; did you mean server.port?",
        f"server.port ({file}:2): Input should be a valid integer, unable to parse string as an integer",
        f"storage.aws_secret_access_key ({file}:5): Input should be a valid string",
    ]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (
            {"storage.options": "{a: secret}"},
            "storage.options (command line): is only for a backend named as package.module:Class",
        ),
        ({"server.tls_cert": __file__}, "server.tls_key (not set): is needed with server.tls_cert"),
        (
            {"storage.aws_access_key_id": "x"},
            "storage.aws_secret_access_key (not set): is needed with storage.aws_access_key_id",
        ),
        (
            {"storage.aws_session_token": "x"},
            "storage.aws_access_key_id (not set): is needed with storage.aws_session_token",
        ),
        (
            {"storage.backend": "s3"},
            "storage.bucket (not set): is needed by the s3 backend; set it in the file, or GATEWAY_STORAGE__BUCKET",
        ),
        ({"ops.port": "8080"}, "ops.port (command line): is the same as server.port; choose another or leave it unset"),
    ],
)
def test_settings_that_don_t_go_together_are_told(flags: dict[str, str], problem: str) -> None:
    assert problems(flags, environ={}, cwd=Path("/")) == [problem]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"server: [", "is not valid YAML"),
        (b"- server", "must be a mapping of sections"),
        (b" \n", "is empty: somebody may be writing it"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"server: {port: !!python/object/apply:os.system [ls]}", "is not a plain YAML value"),
        (b"server: {port: 2024-13-45}", "unable to parse|is not a plain YAML value"),
        (b"server: {port: !!bool maybe}", "is not a plain YAML value"),
        (b"server: {port: !!timestamp x}", "is not a plain YAML value"),
        (b"server: {port: !!int ''}", "is not a plain YAML value"),
        (b"server: {port: " + b"[" * 3000 + b"]" * 3000 + b"}", "is nested too deeply"),
        (b"server: {port: 1, port: 2}", "server.port .*:1.: is given twice"),
        (b"server: {port: 1}\nserver: {host: x}", "server .*:2.: is given twice"),
        (b"? [a, b]\n: 1", r"^… .*:2.: is not a setting"),
    ],
)
def test_a_file_that_can_t_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    import re

    (tmp_path / "config.yaml").write_bytes(content)
    [problem] = problems(environ={}, cwd=tmp_path)
    assert str(tmp_path / "config.yaml") in problem
    assert re.search(message, problem)


def test_a_named_file_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    missing = tmp_path / "typo.yaml"
    expected = [f"{missing} (configuration file): can't be read: No such file or directory"]
    assert problems(config_file=missing, environ={}) == expected
    assert problems(environ={"GATEWAY_CONFIG": str(missing)}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "storage:\n  bucket\n  aws_secret_access_key: hunter2\n",
        "storage:\n  aws_secret_access_key: %hunter2\n",
        "storage:\n  aws_secret_access_key: !hunter2 x\n",
        "storage:\n  aws_secret_access_key: !hun!ter2hunter2 x\n",
        "storage:\n  aws_secret_access_key: *hunter2\n",
        "storage:\n  aws_secret_access_key: 'hunter2\n",
        "storage:\n  aws_secret_access_key: [hunter2\n",
        "storage:\n  aws_secret_access_key: {hunter2: x}\n",
        "storage:\n  aws_secret_access_key: !!bool hunter2\n",
        "storage:\n  endpoint_url: https://user:hunter2@host\n",
    ],
)
def test_no_problem_shows_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert "hunter2" not in " ".join(problems(environ={}, cwd=tmp_path))


def test_a_yaml_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("storage:\n  bucket\n  prefix: x\n")
    message = "is not valid YAML: mapping values are not allowed here (line 3, column 9)"
    assert problems(environ={}, cwd=tmp_path) == [f"{file} (configuration file): {message}"]


def test_a_mistake_hides_no_other_one_in_its_section(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"server:\n  hots: x\n  port: eighty\n  tls_cert: {__file__}\n")
    assert [problem.split()[0] for problem in problems(environ={}, cwd=tmp_path)] == [
        "server.hots",
        "server.port",
        "server.tls_key",
    ]


def test_an_invalid_setting_is_not_held_against_another(tmp_path: Path) -> None:
    found = problems({"server.port": "eighty", "ops.port": "8080"}, environ={}, cwd=tmp_path)
    assert [problem.split()[0] for problem in found] == ["server.port"]


def test_a_file_that_is_a_broken_link_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to(tmp_path / "gone")
    assert problems(environ={}, cwd=tmp_path) == [
        f"{tmp_path / 'config.yaml'} (configuration file): can't be read: No such file or directory"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_searched_is_told(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o600)
    assert problems(environ={}, cwd=locked) == [
        f"{locked / 'config.yaml'} (configuration file): can't be read: Permission denied"
    ]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3))
sections = st.sampled_from(["server", "storage", "rewrite", "ops", "log", "index"]) | st.text(max_size=5)
keys = st.sampled_from(["port", "bucket", "verify", "trusted_proxies", "tls_cert", "strip_prefix", "level", "prefix"])


@given(st.dictionaries(sections, values | st.dictionaries(keys | st.text(max_size=5), values, max_size=4), max_size=4))
def test_no_file_of_valid_yaml_makes_anything_but_settings_or_problems(tmp_path_factory: Any, content: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content))
    with contextlib.suppress(ConfigError):
        load(config_file=file, environ={})
