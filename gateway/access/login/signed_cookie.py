"""Cookies that only the gateway can have written: content in the clear, and its HMAC-SHA256 (RFC 2104). Pure."""

import base64
import hmac
import re
from dataclasses import dataclass, field

# Browsers keep 4,096 bytes of a cookie, with its name and its attributes (RFC 6265bis, 5.6).
_MAX_CHARACTERS = 3800
_MIN_SECRET_BYTES = 32
_FORM = re.compile(r"[\w-]+\.[\w-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CookieKeys:
    """Secrets of at least 32 bytes. The first one signs; the others are older, and still verify."""

    secrets: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError, which says what is wrong and quotes nothing."""
        if not self.secrets or any(len(secret) < _MIN_SECRET_BYTES for secret in self.secrets):
            raise ValueError(f"must be secrets of at least {_MIN_SECRET_BYTES} bytes: openssl rand -base64 32")


def parse_cookie_key(text: str) -> bytes:
    """A secret of CookieKeys from its text. Raises ValueError, which says what is wrong and quotes nothing."""
    secret = text.strip().encode()
    if secret.startswith(b"-----BEGIN "):
        raise ValueError("must be random text, no PEM file: openssl rand -base64 32")
    return CookieKeys((secret,)).secrets[0]


def seal(purpose: str, content: bytes, keys: CookieKeys) -> str:
    """The value of a cookie. What was sealed for one purpose, which has no NUL in it, is worth nothing for another.
    Raises ValueError if the content is too long."""
    text = f"{_b64(content)}.{_b64(_signature(purpose, content, keys.secrets[0]))}"
    if len(text) > _MAX_CHARACTERS:
        raise ValueError("too long for a cookie")
    return text


def unseal(purpose: str, text: str, keys: CookieKeys) -> bytes | None:
    """None for a value that was not sealed for this purpose with one of the keys."""
    if len(text) > _MAX_CHARACTERS or not _FORM.fullmatch(text):
        return None
    encoded, _, signature = text.partition(".")
    try:
        content = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None
    # Texts are compared: several spellings of the last character decode to the same bytes.
    known = [hmac.compare_digest(_b64(_signature(purpose, content, secret)), signature) for secret in keys.secrets]
    return content if any(known) and _b64(content) == encoded else None


def mac(purpose: str, text: str, keys: CookieKeys) -> str:
    """43 characters that prove, together with `text`, that the gateway gave them out for this purpose."""
    return _b64(_signature(purpose, text.encode("utf-8", "surrogatepass"), keys.secrets[0]))


def set_cookie(name: str, value: str, seconds: int) -> str:
    """The header Set-Cookie of a cookie that scripts can't read, and that other sites' requests don't carry, except
    when somebody follows a link. A name with `__Host-` needs all of these attributes. 0 seconds remove the cookie."""
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}"


def cookie_of(header: str, name: str) -> str:
    """The value of the cookie in a header Cookie; empty if it is absent, or there are two: one is somebody else's."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    values = [value for other, separator, value in pairs if separator and other == name]
    return values[0] if len(values) == 1 else ""


def _signature(purpose: str, content: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, purpose.encode() + b"\0" + content, "sha256")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
