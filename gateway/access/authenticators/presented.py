"""Which credentials a directory is asked about."""

from gateway.access.authenticator import Credential, Password


def presented(credential: Credential) -> Password | None:
    """The credential, if it is a user and a password that anybody may have: neither is empty, and both are valid text
    without NUL. An empty password makes LDAP's bind anonymous, which succeeds (RFC 4513, 5.1.2), so that no directory
    is ever asked about one."""
    if not isinstance(credential, Password) or not credential.user or not credential.password:
        return None
    both = credential.user + credential.password
    return None if "\0" in both or (not both.isascii() and not _is_unicode(both)) else credential


def _is_unicode(text: str) -> bool:
    """Whether the text has no surrogates, which stand for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
