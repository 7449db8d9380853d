"""Checks that settings go together."""

from gateway.config.access.secure_url import is_secure_url
from gateway.config.cors.settings import ANY
from gateway.config.settings import Settings
from gateway.config.storage_settings import StorageSettings
from gateway.principal import Right
from gateway.rights.policy import collisions

_SEVEN_DAYS = 7 * 24 * 3600


def cross_checks(settings: Settings) -> list[tuple[str, str, str]]:
    """Settings that don't go together: the key to name, what is wrong with it, and the key that it conflicts with."""
    server, storage = settings.server, settings.storage
    found = []
    if server.tls_cert and not server.tls_key:
        found.append(("server.tls_key", "is needed with server.tls_cert", "server.tls_cert"))
    if server.tls_key and not server.tls_cert:
        found.append(("server.tls_cert", "is needed with server.tls_key", "server.tls_key"))
    key_id, secret = "storage.aws_access_key_id", "storage.aws_secret_access_key"
    if storage.aws_access_key_id and not storage.aws_secret_access_key:
        found.append((secret, f"is needed with {key_id}", key_id))
    if storage.aws_secret_access_key and not storage.aws_access_key_id:
        found.append((key_id, f"is needed with {secret}", secret))
    if storage.aws_session_token and not storage.aws_access_key_id:
        found.append((key_id, "is needed with storage.aws_session_token", "storage.aws_session_token"))
    if storage.assume_role_external_id and not storage.assume_role_arn:
        message = "is needed with storage.assume_role_external_id"
        found.append(("storage.assume_role_arn", message, "storage.assume_role_external_id"))
    if storage.backend in ("s3", "cloudfront") and not storage.bucket:
        message = f"is needed by the {storage.backend} backend; set it in the file, or GATEWAY_STORAGE__BUCKET"
        found.append(("storage.bucket", message, "storage.backend"))
    if storage.options and ":" not in storage.resolved_backend:
        found.append(("storage.options", "is only for a backend named as package.module:Class", "storage.backend"))
    found += _delivery_checks(storage)
    for key, path in (("storage.prefix", storage.prefix), ("rewrite.add_prefix", settings.rewrite.add_prefix)):
        if storage.resolved_backend == "file" and "/." in f"/{path}":
            message = "has a name that starts with a dot, which the directory backend never serves"
            found.append((key, message, "storage.backend"))
    if settings.fallback.mode != "none" and settings.index.mode not in ("auto", "generated"):
        message = "needs index.mode auto or generated, because listings tell which projects are yours"
        found.append(("fallback.mode", message, "index.mode"))
    if settings.policy.decides and settings.fallback.mode in ("redirect", "cache"):
        message = "must be mirror with a policy: redirect leads past it, and cache keeps files among your own"
        found.append(("fallback.mode", message, "policy"))
    asks = any(rule.advisories or rule.severity is not None for rule in settings.policy.rules)
    if asks and settings.policy.advisories is None:
        found.append(("policy.advisories", "is needed by a rule about advisories, or their severity", "policy.rules"))
    if settings.policy.untrusted and settings.policy.decides and settings.index.mode != "generated":
        message = "needs index.mode generated: a stored page lists files that the policy withholds"
        found.append(("policy.untrusted", message, "index.mode"))
    if settings.fallback.always_show_upstream and settings.fallback.mode == "none":
        message = "needs a fallback.mode: redirect, cache or mirror"
        found.append(("fallback.always_show_upstream", message, "fallback.mode"))
    if settings.index.share_metadata and storage.resolved_backend == "cloudfront":
        message = "can't be true with the cloudfront backend, which would return outdated metadata"
        found.append(("index.share_metadata", message, "storage.backend"))
    if settings.fallback.temp_bytes < settings.fallback.max_file_bytes:
        message = "is less than fallback.max_file_bytes: the largest file must fit"
        found.append(("fallback.temp_bytes", message, "fallback.max_file_bytes"))
    if settings.cache.prefetch and not (settings.cache.memory_bytes or settings.cache.dir):
        found.append(("cache.prefetch", "needs a cache: set cache.memory_bytes or cache.dir", "cache.memory_bytes"))
    if storage.use_accelerate_endpoint and storage.addressing_style == "path":
        message = "can't be path with storage.use_accelerate_endpoint"
        found.append(("storage.addressing_style", message, "storage.use_accelerate_endpoint"))
    found += _access_checks(settings)
    found += _publish_checks(settings)
    found += _site_checks(settings) if settings.index.mode == "site" else []
    found += _cors_checks(settings)
    if settings.ops.port and settings.ops.port == server.port and not server.unix_socket:
        found.append(("ops.port", "is the same as server.port; choose another or leave it unset", "server.port"))
    return found


def _site_checks(settings: Settings) -> list[tuple[str, str, str]]:
    site, storage, found = settings.site, settings.storage, []
    if storage.prepend_hash:
        message = "can't be true with index.mode site: only packages have such keys"
        found.append(("storage.prepend_hash", message, "index.mode"))
    if settings.access is not None and any(rule.projects for rule in settings.access.rules):
        message = "speak of projects, which a site does not have: give paths instead"
        found.append(("access.rules", message, "index.mode"))
    if settings.cache.prefetch:
        message = "can't be true with index.mode site: what a package needs is fetched ahead"
        found.append(("cache.prefetch", message, "index.mode"))
    if site.versions and storage.resolved_backend != "s3":
        found.append(("site.versions", "needs the s3 backend: no other knows versions", "storage.backend"))
    if site.website_redirects and storage.redirect_urls is True:
        message = "can't be true with site.website_redirects: set auto, so that objects are looked at first"
        found.append(("storage.redirect_urls", message, "site.website_redirects"))
    if site.compress is not None and site.compress.max_bytes > settings.index.memory_bytes // 4:
        message = "has a max_bytes that is more than a quarter of index.memory_bytes, which keeps what is compressed"
        found.append(("site.compress", message, "index.memory_bytes"))
    return found


def _access_checks(settings: Settings) -> list[tuple[str, str, str]]:
    access, storage = settings.access, settings.storage
    if access is None:
        return []
    found = [("access.rules", collision, "access.rules") for collision in collisions(access.policy.rules)]
    if not access.authenticates and not access.policy.grants_everyone(Right.READ):
        message = "lets nobody in: give users, htpasswd, tokens, … or default_read: [everyone]"
        found.append(("access.default_read", message, "access.users"))
    server = settings.server
    if access.forward_auth is not None and not server.trusted_proxies and server.unix_socket is None:
        message = "is needed with access.forward_auth: only these proxies are believed"
        found.append(("server.trusted_proxies", message, "access.forward_auth"))
    if access.forward_auth is not None and any(network.prefixlen == 0 for network in server.trusted_proxies):
        message = "has everybody in it, who could be anybody by access.forward_auth: give the proxies alone"
        found.append(("server.trusted_proxies", message, "access.forward_auth"))
    if access.login is not None and access.login.oidc is None and not access.has_passwords:
        message = "needs an issuer (oidc) or something that knows passwords: users, htpasswd, …"
        found.append(("access.login", message, "access.users"))
    if access.login is not None and server.public_url is not None and not is_secure_url(server.public_url):
        message = "must be https with access.login: browsers keep its cookies only then"
        found.append(("server.public_url", message, "access.login"))
    if settings.cache.prefetch:
        message = "can't be true with access: what is fetched ahead may be what the reader must not have"
        found.append(("cache.prefetch", message, "access.rules"))
    if storage.redirect_urls and storage.cloud_front_wildcard:
        message = "can't be true with access: a signature must be for one file"
        found.append(("storage.cloud_front_wildcard", message, "access.rules"))
    if storage.redirect_urls and storage.public_url:
        message = "can't be true with access: anybody may fetch what redirects lead to"
        found.append(("storage.public_url", message, "access.rules"))
    unsigned = storage.resolved_backend == "cloudfront" and not storage.cloud_front_key_id
    if storage.redirect_urls and unsigned:
        message = "is needed with access and redirects: without it URLs are not signed"
        found.append(("storage.cloud_front_key_id", message, "access.rules"))
    return found


def _publish_checks(settings: Settings) -> list[tuple[str, str, str]]:
    publish, found = settings.publish, []
    if publish.beacon and settings.storage.resolved_backend == "cloudfront":
        message = "can't be true with the cloudfront backend, which would return an outdated beacon"
        found.append(("publish.beacon", message, "storage.backend"))
    if publish.status and settings.storage.resolved_backend == "cloudfront":
        message = "can't be true with the cloudfront backend, which would return an outdated status"
        found.append(("publish.status", message, "storage.backend"))
    if not publish.enabled:
        if publish.trusted:
            message = "is needed with publish.trusted: without it nobody may publish"
            found.append(("publish.enabled", message, "publish.trusted"))
        return found
    if settings.access is None and not publish.allow_anonymous:
        message = "needs the section access, or publish.allow_anonymous: else nobody may publish"
        found.append(("publish.enabled", message, "access.default_write"))
    if settings.access is not None and publish.allow_anonymous:
        message = "can't be true with access: give default_write: [everyone]"
        found.append(("publish.allow_anonymous", message, "access.default_write"))
    found += _trusted_checks(settings)
    if settings.index.mode not in ("auto", "generated"):
        message = "needs index.mode auto or generated: pages that are stored would not show what is published"
        found.append(("publish.enabled", message, "index.mode"))
    return found


def _cors_checks(settings: Settings) -> list[tuple[str, str, str]]:
    cors, found = settings.cors, []
    if ANY in cors.origins and len(cors.origins) > 1:
        found.append(("cors.origins", "has '*', which is all of them, beside others: keep one", "cors.origins"))
    if cors.credentials:
        for key in ("origins", "headers", "exposed_headers"):
            if ANY in getattr(cors, key):
                found.append((f"cors.{key}", "can't be '*' with cors.credentials: name them", "cors.credentials"))
    if "POST" in cors.methods and ANY in cors.origins:
        message = "can't have POST with the origin '*': any page could have its visitors' browsers publish"
        found.append(("cors.methods", message, "cors.origins"))
    return found


def _trusted_checks(settings: Settings) -> list[tuple[str, str, str]]:
    publish, access, found = settings.publish, settings.access, []
    if not publish.trusted:
        if publish.attestations != "ignore":
            message = "is needed with publish.attestations: they are verified as those of a trusted publisher"
            found.append(("publish.trusted", message, "publish.attestations"))
        return found
    if publish.audience is None:
        message = "is needed with publish.trusted: a word that no other index has, like acme-packages"
        found.append(("publish.audience", message, "publish.trusted"))
    if access is None or not access.tokens.keys:
        message = (
            "needs a key for the tokens that jobs get: openssl rand -base64 32 > FILE, then access.tokens: "
            "{keys: [file:/FILE]}"
        )
        found.append(("publish.trusted", message, "access.tokens"))
    return found


def _delivery_checks(storage: StorageSettings) -> list[tuple[str, str, str]]:
    found = []
    backend = storage.resolved_backend
    if backend == "s3" and storage.signature_version == "s3v4" and storage.expire_after > _SEVEN_DAYS:
        message = f"is more than {_SEVEN_DAYS} (7 days), the longest that S3 accepts with SigV4"
        found.append(("storage.expire_after", message, "storage.signature_version"))
    if backend == "file" and storage.redirect_urls:
        message = "needs a bucket: a directory has no URLs to redirect to"
        found.append(("storage.redirect_urls", message, "storage.backend"))
    if backend == "cloudfront" and not storage.cloud_front_domain:
        found.append(("storage.cloud_front_domain", "is needed by the cloudfront backend", "storage.backend"))
    if backend == "cloudfront" and storage.public_url:
        message = "belongs to the s3 backend; for unsigned CloudFront URLs leave out storage.cloud_front_key_id"
        found.append(("storage.public_url", message, "storage.backend"))
    has_key = storage.cloud_front_key_file or storage.cloud_front_key_string
    if backend == "cloudfront" and storage.cloud_front_key_id and not has_key:
        message = "is needed with storage.cloud_front_key_id; or set storage.cloud_front_key_string"
        found.append(("storage.cloud_front_key_file", message, "storage.cloud_front_key_id"))
    if storage.sse_kms_key_id and storage.server_side_encryption not in ("aws:kms", "aws:kms:dsse"):
        message = "must be aws:kms or aws:kms:dsse with storage.sse_kms_key_id"
        found.append(("storage.server_side_encryption", message, "storage.sse_kms_key_id"))
    return found
