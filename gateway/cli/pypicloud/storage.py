"""Where pypicloud keeps its files, and the other index, as settings of `storage`, `index` and `fallback`."""

import re
from typing import Any

from gateway.cli.pypicloud.document import Secret
from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import PasteSettings, SourceError, is_true
from gateway.config.storage_settings import StorageSettings
from gateway.index.simple.names import is_project_name, normalize

_BACKENDS = {
    "s3": "s3",
    "pypicloud.storage.S3Storage": "s3",
    "pypicloud.storage.s3.S3Storage": "s3",
    "cloudfront": "cloudfront",
    "pypicloud.storage.CloudFrontS3Storage": "cloudfront",
    "pypicloud.storage.s3.CloudFrontS3Storage": "cloudfront",
    "file": "file",
    "pypicloud.storage.FileStorage": "file",
    "pypicloud.storage.files.FileStorage": "file",
}
_FLAGS = frozenset(
    {
        "prepend_hash",
        "redirect_urls",
        "public_url",
        "use_accelerate_endpoint",
        "use_dualstack_endpoint",
        "use_fips_endpoint",
    }
)
_SECRETS = frozenset(
    {"aws_secret_access_key", "aws_session_token", "cloud_front_key_string", "cloud_front_key_password", "proxies"}
)
# Names that pypicloud had before.
_FORMER = {"aws_access_key_id": "access_key", "aws_secret_access_key": "secret_key", "region_name": "region"}
_NOT_TAKEN = frozenset({"backend", "options", "dir", "create_bucket"})
_SIMPLE_PATH = re.compile(r"/simple/?$")
_MODES = ("redirect", "cache", "none")
_PATTERN = re.compile(r"[*?\[]")


def storage(settings: PasteSettings, report: Report) -> dict[str, dict[str, Any]]:
    """The sections `storage` and `index`, or none if there is no counterpart."""
    text = (settings.get("pypi.storage") or "file").strip()
    if text not in _BACKENDS:
        report.add("pypi.storage", "has no counterpart, so the storage is to be set up anew: see the section storage")
        return {}
    backend = _BACKENDS[text]
    if backend == "file":
        section = {"backend": "file", "dir": settings.get("storage.dir") or "packages"}
        # pypicloud has a folder for each version within that of the project.
        return {"storage": section, "index": {"layout": "flat"}}
    found: dict[str, Any] = {"backend": backend}
    for name in StorageSettings.model_fields:
        names = [f"storage.{name}", *([f"storage.{_FORMER[name]}"] if name in _FORMER else [])]
        if name not in _NOT_TAKEN and (value := settings.get(*names)):
            found[name] = _value(name, value.strip())
    found.setdefault("prepend_hash", True)  # as in pypicloud, unless it is turned off
    if settings.flag("pypi.stream_files"):
        found["redirect_urls"] = False
    elif not found.get("redirect_urls"):
        told = "files are streamed here, where pypicloud sends clients to S3; storage.redirect_urls: true does that"
        report.add("storage.redirect_urls", told)
    if "expire_after" in found:
        report.add("storage.expire_after", "with access, URLs are valid for access.max_link_seconds at most")
    if not found.get("prefix", "/").endswith("/"):
        report.add("storage.prefix", "is a folder here; pypicloud puts it before each key as it is, without a slash")
    return {"storage": found}


def _value(name: str, text: str) -> Any:
    if name in _FLAGS:
        return is_true(text)
    if name == "server_side_encryption" and is_true(text):
        return "AES256"  # older ones had it as a truth value
    if name in _SECRETS:
        return Secret(text)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def fallback_mode(settings: PasteSettings) -> str:
    """pypicloud's mode: redirect, cache or none. Raises SourceError."""
    text = (settings.get("pypi.fallback") or "").strip()
    if not text:
        return "redirect" if settings.flag("pypi.use_fallback", default=True) else "none"
    mode = "cache" if text == "mirror" else text
    if mode not in _MODES:
        raise SourceError(f"pypi.fallback: must be one of {', '.join(_MODES)}, mirror")
    return mode


def fallback(settings: PasteSettings, report: Report, *, has_admins: bool) -> dict[str, Any]:
    """The section `fallback`. Raises SourceError. `has_admins` tells whether anybody may be an admin."""
    mode = fallback_mode(settings)
    found: dict[str, Any] = {"mode": mode}
    base, former = settings.get("pypi.fallback_base_url"), settings.get("pypi.fallback_url")
    if base:
        found["base_url"] = f"{_SIMPLE_PATH.sub('', base.strip().rstrip('/'))}/simple/"
    elif former:
        found["base_url"] = former.strip().rstrip("/") + "/"
    disallowed = settings.words("pypi.disallow_fallback")
    if taken := _disallowed(disallowed, report):
        found["disallow"] = taken
    always = settings.flag("pypi.always_show_upstream", default=settings.get("pypi.fallback") == "mirror")
    if mode == "none":
        return found
    if always:
        found["always_show_upstream"] = True
    if taken and has_admins:
        report.add("pypi.disallow_fallback", "holds for admins too, whom pypicloud exempts")
    if mode == "redirect":
        told = (
            "pypicloud redirects everybody to the other index for a package that it does not have, and a user who has "
            "logged in also for one that they may not read. Here whoever may not read a project gets 401 or 403"
        )
        report.add("pypi.fallback", told)
    elif always:
        told = "pypicloud redirects a user who may not have files stored to the other index; here they see none of it"
        report.add("pypi.always_show_upstream", told)
    return found


def _disallowed(names: list[str], report: Report) -> list[str]:
    found = {}
    for name in names:
        project = normalize(name)
        if not is_project_name(project) or _PATTERN.search(name):
            report.add("pypi.disallow_fallback", f"{name!r} is left out: no project can have this name")
            continue
        if project != name:
            told = f"{name!r} stands for {project!r} here; pypicloud since 1.0 compares it as written, without effect"
            report.add("pypi.disallow_fallback", told)
        found[project] = True
    return list(found)
