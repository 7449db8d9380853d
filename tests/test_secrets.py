"""A secret in whatever place of the configuration shows in no error, log or repr."""

import json
import string
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.cli import health
from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.settings import SECTIONS, Settings
from gateway.errors import ConfigError
from gateway.storage.s3 import clients
from gateway.storage.s3.endpoint import resolve
from gateway.upstream.proxy import Proxy

SECRET = "hunter2S3cr3t"
ALL = [f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields]
SHAPES = [
    "{}",
    "{}\x00",
    "https://user:{}@host",
    "https://{}@host/",
    "https://user:{}",
    "https://user:{}/@host:x",
    "http://user:{}@host:99999",
    "http://user:{} @the host",
    "http://host/?token={}",
    "http://host/#{}",
    "http://[{}",
    "http://host/\u2100{}@x",
    "user:{}@proxy:3128",
    "https=http://user:{}@proxy:x",
    "ftp=http://user:{}@proxy",
    "project=https://user:{}@host/simple/project/",
    "10.0.0.0/8,{}",
    "s3://key:{}@bucket",
    "package.module:{}",
    "/etc/ssl/{}.pem",
]
# Those whose value, where it is good, shows neither.
HIDDEN = {"storage.proxies", "access.users", "access.tokens", "access.login"} | {
    f"{section}.{name}"
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
    if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
}


def by_flag(values: dict[str, Any], directory: Path) -> Settings:
    return load({key: str(value) for key, value in values.items()}, environ={}, cwd=directory)


def by_environment(values: dict[str, Any], directory: Path) -> Settings:
    environ = {f"GATEWAY_{key.replace('.', '__').upper()}": str(value) for key, value in values.items()}
    return load(environ=environ, cwd=directory)


def by_file(values: dict[str, Any], directory: Path) -> Settings:
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    (directory / "config.yaml").write_text(json.dumps(sections))  # which is YAML too
    return load(environ={}, cwd=directory)


@pytest.mark.parametrize("give", [by_flag, by_environment, by_file])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_setting_that_is_refused_shows_a_secret(
    give: Callable[[dict[str, Any], Path], Settings], shape: str, tmp_path: Path
) -> None:
    text = shape.format(SECRET)
    values: list[Any] = [text]
    if give is by_file:
        values += [[text], {text: text}, {"https": text, "http": [text]}]
    for value in values:
        with pytest.raises(ConfigError) as refused:
            give(dict.fromkeys(ALL, value), tmp_path)
        assert len(refused.value.problems) > 30
        assert SECRET not in str(refused.value)
        assert SECRET not in repr(refused.value)


@pytest.mark.parametrize("key", sorted(HIDDEN))
def test_no_secret_that_is_taken_shows(key: str) -> None:
    issuer = f"{{issuer: https://i, client_id: x, client_secret: {SECRET}}}"
    value = {
        "storage.proxies": f"http://user:{SECRET}@proxy",
        "access.users": f"{{alice: {SECRET}}}",
        "access.tokens": f"{{keys: [{SECRET}]}}",
        "access.login": f"{{cookie_keys: [{SECRET}], oidc: {issuer}}}",
    }.get(key, SECRET)
    needed = {"storage.aws_access_key_id": "AKID"} if key.startswith("storage.aws_") else {}
    needed |= {"storage.aws_secret_access_key": "x"} if key == "storage.aws_session_token" else {}
    settings = load(needed | {key: value}, environ={}, cwd=Path("/"))
    for shown in (
        repr(settings),
        str(settings),
        repr(settings.storage),
        settings.model_dump_json(exclude={"storage": {"proxies"}}),
    ):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "text",
    [
        "storage: {{aws_secret_access_key:{}, bucket: x}}\n",
        "storage:\n  aws_secret_access_key:{}\n  bucket: x\n",
        "storage:\n  ? {}/+0123456789012345678901234567890\n  : x\n",
        "{}{}{}: x\n",
        "storage:\n  aws_secret_access_key: &{} x\n  aws_session_token: &{} y\n",
        "storage:\n  aws_secret_access_key: '{}\n",
        'storage:\n  aws_secret_access_key: "{}\\q"\n',
        "storage:\n  aws_secret_access_key: `{}\n",
        "storage:\n  aws_secret_access_key: @{}\n",
        "storage:\n  aws_secret_access_key: !it's{} x\n",
        "storage:\n  aws_secret_access_key: !<{}> x\n",
        "%{} x\n---\nstorage: x\n",
        "%TAG {} x\n---\nstorage: x\n",
    ],
)
def test_no_file_that_is_refused_shows_a_secret(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text.replace("{}", SECRET).replace("{{", "{").replace("}}", "}"))
    with pytest.raises(ConfigError) as refused:
        load(environ={}, cwd=tmp_path)
    assert SECRET not in str(refused.value)


@given(
    before=st.text(alphabet=string.punctuation + " \nab:", max_size=12),
    after=st.text(alphabet=string.punctuation + " \nab:", max_size=12),
)
@examples(max_examples=300)
def test_no_yaml_mistake_shows_a_secret(before: str, after: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A secret between odd characters, as one that should have been quoted."""
    file = tmp_path_factory.getbasetemp() / "secret.yaml"
    file.write_text(f"storage:\n  aws_secret_access_key: x{before}{SECRET}{after}\n")
    found = ""
    try:
        load(environ={}, config_file=file)
    except ConfigError as refused:
        found = str(refused)
    assert SECRET not in found


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--set", SECRET],
        ["serve", "--set", f"storage.aws_secret_access_key:{SECRET}"],
        ["serve", "--set", f"storage.aws_secret_access_key {SECRET}=x"],
        ["serve", f"--aws-secret-access-key={SECRET}"],
        ["serve", "--aws-secret-access-key", SECRET],
        ["serve", SECRET],
        ["serve", f"--por={SECRET}"],
        ["health", f"ftp://user:{SECRET}@host"],
        ["health", f"http://user:{SECRET}"],
    ],
)
def test_no_command_line_that_is_refused_shows_a_secret(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(SystemExit):
        assert main(arguments) != 0
    found = capsys.readouterr()
    assert found.err
    assert SECRET not in found.err + found.out


def test_a_probe_s_url_may_have_a_user() -> None:
    connection, path = health._of_url("http://user:password@127.0.0.1:80/ready")
    assert (connection.host, connection.port, path) == ("127.0.0.1", 80, "/ready")


@pytest.mark.parametrize("proxy", [f"http://user:{SECRET}", f"http://user:{SECRET}@", f"user:{SECRET}@proxy:x"])
def test_a_proxy_of_the_environment_that_can_t_be_does_not_show(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as refused:
        clients._environment_proxies("https://s3.amazonaws.com")
    assert SECRET not in str(refused.value)


def test_a_proxy_s_password_does_not_show() -> None:
    proxy = Proxy.parse(f"http://user:{SECRET}@proxy:3128")
    assert proxy.authorization is not None
    assert proxy.authorization not in repr(proxy)


@pytest.mark.parametrize("address", [f"https://user:{SECRET}@host", f"https://user:{SECRET} @the host"])
def test_an_endpoint_of_aws_s_own_configuration_does_not_show(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    settings = load({"storage.bucket": "packages", "storage.region_name": "us-east-1"}, environ={}, cwd=Path("/"))
    with pytest.raises(ConfigError) as refused:
        resolve(settings.storage)
    assert SECRET not in str(refused.value)
