"""What one signature costs, in this process."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.messages import Credentials
from gateway.storage.s3.signing.cloudfront_signer import CloudFrontSigner
from gateway.storage.s3.signing.sigv4 import presign, sign
from tests.bench.measure import each

_CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", token="t" * 400)
_HOST, _PATH = "bucket.s3.amazonaws.com", "/arrow/arrow-0.12.1.tar.gz"


def costs() -> Iterator[tuple[str, float, float | None]]:
    """What, microseconds for one, and how many it may take."""
    options = {"credentials": _CREDENTIALS, "region": "us-east-1", "now": 1_700_000_000.0}
    url = f"https://d111111abcdef8.cloudfront.net{_PATH}"
    rsa_signer = CloudFrontSigner("KEYID", rsa.generate_private_key(65537, 2048))
    ec_signer = CloudFrontSigner("KEYID", ec.generate_private_key(ec.SECP256R1()))
    yield "SigV4 headers, session token", each(lambda: sign("GET", _HOST, _PATH, **options), 20_000), 10  # type: ignore[arg-type]
    yield (
        "SigV4 presigned URL, session token",
        each(lambda: presign("GET", _HOST, _PATH, expires=86400, **options), 20_000),  # type: ignore[arg-type]
        10,
    )
    yield "CloudFront URL, RSA 2048, once per object", each(lambda: rsa_signer.canned(url, 1), 500), None
    yield "CloudFront URL, ECDSA P-256, once per object", each(lambda: ec_signer.canned(url, 1), 500), None
