"""Resolves a bucket's endpoint with botocore: regions, partitions, dots, accelerate, dual-stack, access points."""

import re
import threading
from collections.abc import Hashable
from typing import Any, NoReturn

from gateway.config.storage_settings import StorageSettings
from gateway.errors import ConfigError, Problem
from gateway.messages import Endpoint

_SAMPLE_KEY = "key"
# botocore's errors quote addresses, and one from AWS's configuration may contain a password.
_ADDRESS = re.compile(r"\S+://\S+")
_V4 = frozenset({"v4", "s3v4"})


class _Resolved(Exception):  # noqa: N818  not an error: stops the request before it is sent
    def __init__(self, url: str, region: str, service: str, signature_version: str) -> None:
        self.url = url
        self.region = region
        self.service = service
        self.signature_version = signature_version


class Resolver:
    """Asks a botocore client where it would send a request, which is never sent. To build a client takes up to 150 ms
    and some megabytes: one serves all buckets that are reached in the same way."""

    def __init__(self) -> None:
        self._clients: dict[Hashable, Any] = {}
        self._building = threading.Lock()

    def resolve(self, settings: StorageSettings, region: str | None = None) -> Endpoint:
        """Blocks: run it in a thread. `region` comes from an answer of the storage and overrides the setting. Raises
        ConfigError, naming the setting, if no endpoint fits."""
        from botocore.exceptions import BotoCoreError, ProfileNotFound

        try:
            self._client(settings, region).get_object(Bucket=settings.bucket, Key=_SAMPLE_KEY)
        except _Resolved as resolved:
            return _endpoint(resolved, settings)
        except ProfileNotFound as error:
            name = f"profile {settings.profile_name!r}" if settings.profile_name else "such profile"
            message = f"AWS's shared configuration (~/.aws/config, ~/.aws/credentials) has no {name}"
            source = ("storage.profile_name", "settings") if settings.profile_name else ("AWS_PROFILE", "environment")
            raise ConfigError([Problem(*source, message)]) from error
        except (BotoCoreError, ValueError) as error:
            raise _unusable(settings, f"{type(error).__name__}: {error}") from error
        raise AssertionError("the request was sent")

    def _client(self, settings: StorageSettings, region: str | None) -> Any:
        way = (
            settings.profile_name,
            region or settings.region_name,
            settings.endpoint_url,
            settings.addressing_style,
            settings.use_accelerate_endpoint,
            settings.use_dualstack_endpoint,
            settings.use_fips_endpoint,
        )
        with self._building:
            if way not in self._clients:
                self._clients[way] = _build_client(*way)
            return self._clients[way]


_choosing = threading.Lock()
_at_work: list[Resolver] = []  # the same for all who ask now, once for each


def resolve(settings: StorageSettings, region: str | None = None) -> Endpoint:
    """See Resolver. Those who ask at the same time share one, as the mounts do that a reload begins: otherwise each
    would build a client, and nothing else would get the processor. After them, no client is kept."""
    with _choosing:
        resolver = _at_work[0] if _at_work else Resolver()
        _at_work.append(resolver)
    try:
        return resolver.resolve(settings, region)
    finally:
        with _choosing:
            _at_work.pop()


def _build_client(
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    addressing_style: str,
    accelerate: bool,
    dualstack: bool | None,
    fips: bool | None,
) -> Any:
    # Imported here: takes 200 ms, which a process that asked ahead need not spend.
    import botocore.session
    from botocore.config import Config

    client = botocore.session.Session(profile=profile).create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id="unused",
        aws_secret_access_key="unused",  # noqa: S106
        config=Config(
            s3={"addressing_style": addressing_style, "use_accelerate_endpoint": accelerate},
            use_dualstack_endpoint=dualstack,
            use_fips_endpoint=fips,
        ),
    )
    client.meta.events.register("before-sign.s3", _abort)
    return client


def _abort(request: Any, signing_name: str, region_name: str, signature_version: str, **others: Any) -> NoReturn:
    # An access point's ARN has its own region and service, which botocore keeps here.
    own = request.context.get("signing", {})
    raise _Resolved(
        request.url, own.get("region") or region_name, own.get("signing_name") or signing_name, signature_version
    )


def _endpoint(resolved: _Resolved, settings: StorageSettings) -> Endpoint:
    if resolved.signature_version not in _V4:
        raise _unusable(settings, f"needs signature version {resolved.signature_version}, which the gateway lacks")
    scheme, _, rest = resolved.url.removesuffix(f"/{_SAMPLE_KEY}").partition("://")
    host, slash, path = rest.partition("/")
    if "@" in host:  # from AWS's configuration; storage.endpoint_url allows no user
        raise _unusable(settings, "the endpoint's address has a user in it, which S3 does not take")
    default_port = ":443" if scheme == "https" else ":80"
    return Endpoint(scheme, host.removesuffix(default_port), slash + path, resolved.region, resolved.service)


def _unusable(settings: StorageSettings, reason: str) -> ConfigError:
    parts = {
        "storage.bucket": settings.bucket,
        "storage.profile_name": settings.profile_name,
        "storage.region_name": settings.region_name,
        "storage.endpoint_url": settings.endpoint_url,
    }
    key = next((key for key, value in parts.items() if value and value in reason), "storage.bucket")
    return ConfigError([Problem(key, "settings", f"no S3 endpoint fits: {_ADDRESS.sub('…', reason)}")])
