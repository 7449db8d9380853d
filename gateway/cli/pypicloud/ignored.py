"""Settings of pypicloud without a counterpart, and what does their work here."""

from collections.abc import Iterable

from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import shown

_NO_CACHE = "there is no cache to set up: the gateway reads the bucket's listing"
_NO_SESSIONS = "there are no sessions of pypicloud's kind: clients send credentials with each request"
_HASHES = "gateway access hash makes hashes with bcrypt, and remembers what was checked for access.cache_seconds"
_NO_REGISTRATION = "nobody can register: users are in the configuration, or in a directory"
_OVERWRITING = "has no counterpart: there is no right to overwrite a file"
_RIGHTS = "rights are to be set up anew: see access.rules"
_FRAMEWORK = "belongs to the framework of pypicloud"
_MAX_SHOWN = 10
# The first beginning that fits counts.
_WORDS = (
    ("pypi.db", _NO_CACHE),
    ("db.", _NO_CACHE),
    ("session.", _NO_SESSIONS),
    ("beaker.", _NO_SESSIONS),
    ("auth.scheme", _HASHES),
    ("auth.rounds", _HASHES),
    ("auth.token_expire", _NO_REGISTRATION),
    ("auth.signing_key", _NO_REGISTRATION),
    ("auth.zero_security_mode", "pypicloud no longer knows it; default_read: [everyone] lets everybody read"),
    ("auth.kms_key_id", "the gateway only reads the secret"),
    ("auth.ldap.cache_time", "access.cache_seconds says how long a checked password is remembered"),
    ("auth.uri.", "rights come from access.rules, and not from the service"),
    ("auth.db.", "access.sql has options of its own"),
    ("pypi.allow_overwrite", _OVERWRITING),
    ("pypi.allow_delete", _RIGHTS),
    ("pypi.cache_update", _RIGHTS),
    ("pypi.default_", _RIGHTS),
    ("pypi.package_max_age", "see cache.immutable_files"),
    ("pypi.download_url", "see server.public_url"),
    ("pypi.stream_files", "see storage.redirect_urls"),
    ("storage.multipart", "the gateway divides large files by itself"),
    ("storage.", "is no setting of this storage here"),
    ("user.", "this backend does not read it"),
    ("group.", "this backend does not read it"),
    ("package.", "is no entry that pypicloud reads with this backend"),
    ("auth.admins", "this backend does not read it"),
    ("auth.", "is not known here"),
    ("pypi.", "has no counterpart"),
)


def report_ignored(keys: Iterable[str], report: Report) -> None:
    """One remark for all keys of which the same is to say."""
    by_words: dict[str, list[str]] = {}
    for key in keys:
        words = next((words for beginning, words in _WORDS if key.startswith(beginning)), _FRAMEWORK)
        by_words.setdefault(words, []).append(shown(key))
    for words, several in by_words.items():
        names = list(dict.fromkeys(several))
        more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
        report.add("ignored", f"{', '.join(names[:_MAX_SHOWN])}{more}: {words}")
