"""The types of settings, and the messages for values that don't fit them."""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, BeforeValidator, Field

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[^/\s]+[:/].+")
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", re.ASCII)
_UNITS = {"": 1, "b": 1}
MERGE = "tag:yaml.org,2002:merge"
# What PyYAML raises: its own errors, and those of its constructors (`!!bool maybe`, `!!timestamp x`).
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError)
TWICE = "has a name twice in one mapping; keep one"
_UNITS |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}
_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}
CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Refused(ValueError):  # noqa: N818  pydantic makes an error of it
    """Says what is wrong with a value without quoting it, because it may be a password in the wrong place. The texts of
    other ValueErrors are not shown."""


def _mount_prefix(text: str) -> str:
    """`x/y/`, `/x/y` and `/x/y/` all become `/x/y`; the root is the empty text."""
    return "/" + text.strip("/") if text.strip("/") else ""


def _key_prefix(text: str) -> str:
    text = text.lstrip("/")
    return text if not text or text.endswith("/") else text + "/"


def _index_document(text: str) -> str:
    if not text or "/" in text or text in (".", ".."):
        raise Refused("must be a file name, without a slash")
    return text


def _backend(text: str) -> str:
    if text not in ("file", "s3", "cloudfront") and not CLASS.fullmatch(text):
        raise Refused("must be file, s3, cloudfront, or package.module:Class")
    return text


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text):
        raise Refused("must be a bucket's name or ARN, without s3:// and without a path")
    return text


def _is_address(text: str, *, with_user: bool = False) -> bool:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(
        sound and (with_user or "@" not in text) and not (parts.query or parts.fragment or re.search(r"\s", text))
    )


def is_proxy(text: str) -> bool:
    """Whether `text` is an http or https URL; it may contain a user and a password."""
    return _is_address(text, with_user=True)


def _hosts(hosts: list[str]) -> list[str]:
    for host in hosts:
        if not _is_address(f"http://{host}") or urlsplit(f"//{host}").netloc != host:
            raise Refused("must be hosts, like files.example.com or 10.0.0.7:8081")
    return hosts


def _endpoint_url(text: str) -> str:
    if not _is_address(text):
        raise Refused("must be an address like https://host or http://host:port")
    return text


def _project_urls(value: Any) -> Any:
    """Lists of addresses by project; or as text `project=address,project=address`."""
    if isinstance(value, str):
        pairs = [item.partition("=") for item in _comma_separated(value)]
        value = {name: [url for other, _, url in pairs if other == name] for name, _, _ in pairs}
    if not isinstance(value, dict):
        return value
    found = {}
    for name, urls in value.items():
        urls = [urls] if isinstance(urls, str) else urls
        if not isinstance(urls, list) or not all(isinstance(url, str) and _is_address(url) for url in urls):
            raise Refused("must name, for each project, its addresses, like https://pypi.org/simple/project/")
        found[canonicalize_name(str(name))] = urls
    return found


def _distribution(text: str) -> str:
    address = (text if "://" in text else f"https://{text}").rstrip("/")
    if not _is_address(address) or urlsplit(address).path:
        raise Refused("must be a distribution's name, like d111111abcdef8.cloudfront.net, with or without https://")
    return address


def _proxies(value: Any) -> Any:
    """`http://proxy:3128` for all; by scheme as a mapping, or as `https=http://proxy:3128,http=http://other`."""
    if value == "{}":  # as text, from the environment
        return {}
    if isinstance(value, str):
        pairs = [item.partition("=") for item in _comma_separated(value)]
        value = {scheme: url for scheme, _, url in pairs} if pairs and pairs[0][1] else {"http": value, "https": value}
    if isinstance(value, dict):
        for scheme, url in value.items():
            if scheme not in ("http", "https") or not isinstance(url, str) or not is_proxy(url):
                raise Refused("must name http and https, and an address like http://proxy:3128 for each")
    return value


def repeated_names(node: yaml.Node, known: set[yaml.Node]) -> Iterator[yaml.Node]:
    """The names that a mapping of the node has once more: of these, YAML takes the last one and drops the others. The
    mappings in `known` are left out, and further ones come in: to construct a node changes those that it merges."""
    waiting = [node]
    while waiting:
        if (one := waiting.pop()) in known or isinstance(one, yaml.ScalarNode):
            continue
        known.add(one)
        if isinstance(one, yaml.SequenceNode):
            waiting += one.value
            continue
        names = set()
        for name, value in one.value:
            waiting += (name, value)
            if isinstance(name, yaml.ScalarNode) and name.tag != MERGE:
                if (name.tag, name.value) in names:
                    yield name
                names.add((name.tag, name.value))


def read_yaml(text: str, like: str) -> Any:
    """The value of a text in YAML. `like` says what is expected. Raises Refused."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and any(True for _ in repeated_names(root, set())):
            raise Refused(TWICE)
        return yaml.safe_load(text)
    except Refused:
        raise
    except (*YAML_ERRORS, RecursionError) as error:
        raise Refused(like) from error


def _options(value: Any) -> Any:
    """A mapping, or the YAML text of one."""
    if isinstance(value, str):
        value = read_yaml(value, "must be a mapping, like {region: eu, retries: 3}")
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise Refused("must be a mapping, like {region: eu, retries: 3}")
    return value


def _source_range(value: Any) -> Any:
    """True binds URLs to each client's address, a network binds them to that network."""
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false")):
        return value
    return _network(value)


def _certificate(value: Any) -> Any:
    if isinstance(value, str | Path):
        value = _comma_separated(str(value))
    return value


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise Refused(f"can't be read: {error.strerror}") from None
    return path


def _size(value: Any) -> Any:
    """Bytes, as a number or as `64MB` (a million times 64), `512KiB` (1,024 times 512)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or (size := Decimal(found[1]) * unit) % 1:
        raise Refused("must be a size like 64MB, 10GB or 512KiB, or a number of bytes")
    return int(size)


def size_text(size: int) -> str:
    """A size as `_size` reads it, in the largest unit that divides it."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "KB"):
        if size and size % _UNITS[unit.lower()] == 0:
            return f"{size // _UNITS[unit.lower()]}{unit}"
    return str(size)


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise Refused("must be a number of seconds")
    return seconds


def _not_empty(value: Any) -> Any:
    """An empty host would listen on every interface, and an empty path would mean the working directory."""
    if value == "":
        raise Refused("is empty; leave it out for the default")
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))  # text, because ip_network takes a number too: 10 is not 10.0.0.0/8
    except ValueError:
        raise Refused("must be a network, like 10.0.0.0/8 (not 10.0.0.1/8) or 2001:db8::/32") from None


def _comma_separated(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


MountPrefix = Annotated[str, AfterValidator(_mount_prefix)]
Seconds = Annotated[float, Field(gt=0), AfterValidator(_finite)]
NonNegativeSeconds = Annotated[float, Field(ge=0), AfterValidator(_finite)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Networks = Annotated[list[Network], BeforeValidator(_comma_separated)]
NotEmpty = BeforeValidator(_not_empty)
KeyPrefix = Annotated[str, AfterValidator(_key_prefix)]
IndexDocument = Annotated[str, AfterValidator(_index_document)]
Backend = Annotated[str, AfterValidator(_backend)]
Bucket = Annotated[str, AfterValidator(_bucket)]
EndpointUrl = Annotated[str, AfterValidator(_endpoint_url)]
Distribution = Annotated[str, AfterValidator(_distribution)]
Options = Annotated[dict[str, Any], BeforeValidator(_options)]
Proxies = Annotated[dict[str, str], BeforeValidator(_proxies)]
SourceRange = Annotated[bool | IPv4Network, BeforeValidator(_source_range)]
# A PEM file with certificate and key, or one of each.
ClientCertificate = Annotated[list[ReadableFile], BeforeValidator(_certificate), Field(min_length=1, max_length=2)]
ProjectUrls = Annotated[dict[str, list[str]], BeforeValidator(_project_urls)]
SIZE = BeforeValidator(_size)
Size = Annotated[int, SIZE]
COMMA_SEPARATED = BeforeValidator(_comma_separated)
Words = Annotated[list[str], COMMA_SEPARATED]
Hosts = Annotated[list[str], COMMA_SEPARATED, AfterValidator(_hosts)]
