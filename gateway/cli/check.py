"""`gateway check`: tries the configuration step by step, and says what to do where a step fails."""

from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Storage

Write = Callable[[str], None]

_ADVICE = {
    "InvalidAccessKeyId": "The access key id is unknown: is it of this account and this storage, and still active?",
    "SignatureDoesNotMatch": "The secret does not belong to the access key id: copy both again.",
    "ExpiredToken": "The session token has expired: get new temporary credentials, or let the chain refresh them.",
    "InvalidToken": "The session token is not valid for this key: set all three, or remove storage.aws_session_token.",
    "AccessDenied": "The credentials may not: allow s3:ListBucket on the bucket and s3:GetObject on its objects.",
    "NoSuchBucket": "There is no such bucket here: check storage.bucket, storage.region_name and storage.endpoint_url, "
    "or have it created at start with storage.create_bucket.",
    "DistributionDenied": "Is the public key in a key group that the distribution trusts, and may the distribution "
    "read the bucket (origin access control)? Is its origin path empty?",
    "InvalidKey": "CloudFront does not know the key: check storage.cloud_front_key_id.",
    "MissingKey": "The distribution asks for signed URLs: set storage.cloud_front_key_id and its key.",
    "ProxyRefused": "Check storage.proxies, or HTTPS_PROXY and NO_PROXY, and the proxy's user and password.",
    "RequestTimeTooSkewed": "This machine's clock is wrong, and the storage's answer does not help: set the clock.",
    "PermanentRedirect": "The bucket is in another region: set storage.region_name.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: set storage.region_name.",
    "ConnectionFailed": "Nothing answers there: check storage.endpoint_url, the network, DNS and firewalls.",
    "ConnectionBroken": "Something answers that does not speak S3 here: check storage.endpoint_url (http or https?).",
    "TLS": "The certificate is not trusted: set storage.verify to the CA bundle's path.",
    "FileSystem": "Create the directory and make it readable for this user, or set storage.dir.",
}


async def run(storage: Storage, write: Write) -> int:
    """Checks a storage that is not started yet; writes lines for a person. Returns 0 if all is well, else 1."""
    try:
        await storage.start()
        write(f"ok    storage      {storage}")
        async for step, found in storage.diagnose():
            write(f"ok    {step:<13}{found}" if step else f"      {found}")
        await _check_reading(storage, write)
    except GatewayError as error:
        write(f"FAIL  {error.detail or error.public}")
        if advice := _ADVICE.get(error.code or ""):
            write(f"      {advice}")
        return 1
    finally:
        await storage.close()
    write("ok    all is well")
    return 0


async def _check_reading(storage: Storage, write: Write) -> None:
    try:
        first = [item async for item in storage.list(limit=1)]
    except GatewayError as error:
        if error.code != "AccessDenied":
            raise
        write("ok    reading      not tried: without a listing no key is known")
        return
    if not first:
        write("ok    listing      no object yet: upload one")
        return
    key = first[0].key
    write(f"ok    listing      first key: {key!r}, {first[0].size} bytes")
    answer = await storage.fetch(ObjectRequest("GET", key))
    if isinstance(answer, Stream):
        try:
            if answer.body is not None:
                await anext(answer.body, b"")
        finally:
            answer.close()
    write("ok    reading      got its first bytes")
