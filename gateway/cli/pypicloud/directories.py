"""Who knows the users: pypicloud's backends as settings of `access`."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.cli.pypicloud.document import Secret
from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import PasteSettings, SourceError

_BACKENDS = ("config", "sql", "ldap", "remote", "aws_secrets_manager")
# Its classes, in pypicloud.access and its modules.
_CLASSES = {
    "ConfigAccessBackend": "config",
    "SQLAccessBackend": "sql",
    "LDAPAccessBackend": "ldap",
    "RemoteAccessBackend": "remote",
    "AWSSecretsManagerAccessBackend": "aws_secrets_manager",
}
# Those that keep the rights on packages too, out of the file.
KEEP_RIGHTS = {
    "sql": "the database (ppc-export writes them)",
    "remote": "the service",
    "aws_secrets_manager": "the secret",
}


def backend_of(settings: PasteSettings) -> str:
    """Raises SourceError for one that the gateway has no counterpart of."""
    text = (settings.get("pypi.auth") or "config").strip()
    if text in _BACKENDS:
        return text
    package, _, name = text.rpartition(".")
    if (package == "pypicloud.access" or package.startswith("pypicloud.access.")) and name in _CLASSES:
        return _CLASSES[name]
    raise SourceError("pypi.auth: names no backend that is known, and nobody could log in: see access.authenticators")


def directory(backend: str, settings: PasteSettings, report: Report) -> dict[str, Any]:
    """The settings of `access` for a backend other than config. Raises SourceError."""
    name, make = _MAKE[backend]
    return {name: {key: value for key, value in make(settings, report).items() if value not in (None, [])}}


def _needed(settings: PasteSettings, key: str) -> str:
    if not (text := (settings.get(key) or "").strip()):
        raise SourceError(f"{key}: is not set, and nobody could log in without it")
    return text


def _secret(settings: PasteSettings, key: str) -> Secret | None:
    text = settings.get(key)
    return Secret(text) if text else None


def _sql(settings: PasteSettings, report: Report) -> Mapping[str, Any]:
    url = _needed(settings, "auth.db.url")
    if url.startswith("postgres"):
        report.add("auth.db.url", "the connection is encrypted here, and the certificate is checked: see access.sql")
    return {"url": Secret(url)}


def _ldap(settings: PasteSettings, report: Report) -> Mapping[str, Any]:
    url = _needed(settings, "auth.ldap.url")
    if settings.flag("auth.ldap.ignore_cert"):
        report.add("auth.ldap.ignore_cert", "the certificate is checked here: see ca_file in access.ldap")
    if url.lower().startswith("ldap:"):
        told = "StartTLS is used here; with tls: off in access.ldap, passwords go in clear, as before"
        report.add("auth.ldap.url", told)
    if settings.get("auth.ldap.service_username") is not None:
        report.add("auth.ldap.service_username", "the service's account is no user here, and no admin")
    told = "groups of the directory don't count, as in pypicloud; group_field in access.ldap changes that"
    report.add("auth.ldap", told)
    values = [line.strip() for line in (settings.get("auth.ldap.admin_value") or "").splitlines() if line.strip()]
    return {
        "url": url,
        "service_dn": settings.get("auth.ldap.service_dn") or None,
        "service_password": _secret(settings, "auth.ldap.service_password"),
        "user_dn_format": settings.get("auth.ldap.user_dn_format") or None,
        "base_dn": settings.get("auth.ldap.base_dn") or None,
        "user_search_filter": settings.get("auth.ldap.user_search_filter") or None,
        "admin_field": (settings.get("auth.ldap.admin_field") or None) if values else None,
        "admin_value": values if settings.get("auth.ldap.admin_field") else None,
        "admin_group_dn": settings.get("auth.ldap.admin_group_dn") or None,
        "group_field": "",
    }


def _remote(settings: PasteSettings, report: Report) -> Mapping[str, Any]:
    report.add("auth.backend_server", "passwords stay in URLs; protocol: json in access.remote ends that")
    paths = {
        f"{name}_path": settings.get(f"auth.uri.{name}", f"auth.{name}_uri") for name in ("verify", "groups", "admin")
    }
    return {
        "url": _needed(settings, "auth.backend_server"),
        "protocol": "pypicloud",
        "user": settings.get("auth.user"),
        "password": _secret(settings, "auth.password"),
        **paths,
    }


def _secrets_manager(settings: PasteSettings, report: Report) -> Mapping[str, Any]:
    return {
        "secret_id": _needed(settings, "auth.secret_id"),
        "region_name": settings.get("auth.region_name"),
        "profile_name": settings.get("auth.profile_name"),
        "aws_access_key_id": settings.get("auth.aws_access_key_id"),
        "aws_secret_access_key": _secret(settings, "auth.aws_secret_access_key"),
        "aws_session_token": _secret(settings, "auth.aws_session_token"),
    }


_MAKE: Mapping[str, tuple[str, Callable[[PasteSettings, Report], Mapping[str, Any]]]] = {
    "sql": ("sql", _sql),
    "ldap": ("ldap", _ldap),
    "remote": ("remote", _remote),
    "aws_secrets_manager": ("secrets_manager", _secrets_manager),
}
