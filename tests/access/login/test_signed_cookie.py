"""A cookie says what was sealed, or nothing."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.login.signed_cookie import CookieKeys, cookie_of, mac, parse_cookie_key, seal, set_cookie, unseal

KEYS, OTHERS = CookieKeys((b"k" * 32,)), CookieKeys((b"o" * 32,))


@given(st.binary(max_size=500))
def test_what_was_sealed_is_unsealed(content: bytes) -> None:
    text = seal("a", content, KEYS) if content else None
    assert text is None or unseal("a", text, KEYS) == content


@given(st.integers(0, 10**6), st.sampled_from("ABab01-_"))
def test_no_character_can_be_another(place: int, other: str) -> None:
    text = seal("a", b"content!", KEYS)
    place %= len(text)
    changed = text[:place] + other + text[place + 1 :]
    assert changed == text or unseal("a", changed, KEYS) is None


@given(st.text())
def test_other_text_is_nothing(text: str) -> None:
    assert unseal("a", text, KEYS) is None


def test_what_was_sealed_for_something_else_is_nothing() -> None:
    text = seal("a", b"content", KEYS)
    assert unseal("b", text, KEYS) is None
    assert unseal("a", text, OTHERS) is None
    assert unseal("a", text + "\n", KEYS) is None
    for end in ("=", "é", ".", "." + text):
        assert unseal("a", text + end, KEYS) is None
    assert unseal("a", "A." + "A" * 43, KEYS) is None


def test_each_content_has_one_spelling() -> None:
    text = seal("a", b"c", KEYS)
    assert text.startswith("Yw.")
    assert base64.urlsafe_b64decode("Yx==") == b"c"
    assert unseal("a", "Yx" + text[2:], KEYS) is None


def test_keys_can_be_rotated() -> None:
    old = seal("a", b"content", KEYS)
    rotated = CookieKeys((*OTHERS.secrets, *KEYS.secrets))
    assert unseal("a", old, rotated) == b"content"
    assert unseal("a", seal("a", b"content", rotated), OTHERS) == b"content"
    assert unseal("a", seal("a", b"content", rotated), KEYS) is None


def test_a_cookie_is_bounded() -> None:
    assert unseal("a", seal("a", b"x" * 2817, KEYS), KEYS) == b"x" * 2817
    with pytest.raises(ValueError, match=r"^too long for a cookie$"):
        seal("a", b"x" * 2818, KEYS)
    assert unseal("a", "A" * 100_000 + "." + "A" * 43, KEYS) is None


def test_a_longer_cookie_is_not_read() -> None:
    longer = base64.urlsafe_b64encode(b"x" * 2850).decode()
    assert unseal("a", f"{longer}.{mac('a', 'x' * 2850, KEYS)}", KEYS) is None
    short = base64.urlsafe_b64encode(b"x" * 285).decode()
    assert unseal("a", f"{short}.{mac('a', 'x' * 285, KEYS)}", KEYS) == b"x" * 285


@pytest.mark.parametrize("secrets", [(), (b"",), (b"s3cr3t" * 5,), (b"k" * 32, b"s3cr3t")])
def test_keys_are_long(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes") as refused:
        CookieKeys(secrets)
    assert "s3cr3t" not in str(refused.value)


def test_keys_do_not_show() -> None:
    assert repr(KEYS) == "CookieKeys()"


def test_a_cookie_is_kept_from_scripts_and_other_sites() -> None:
    assert set_cookie("__Host-x", "v", 5) == "__Host-x=v; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=5"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("", ""),
        ("x=1", "1"),
        ("a=2; x=1; b=3", "1"),
        ("a=2;x=1", "1"),
        ("xx=2; x=a=b", "a=b"),
        ("x", ""),
        ("x=1; x=2", ""),
        ("X=1", ""),
        ("y=x=1", ""),
    ],
)
def test_a_cookie_is_found(header: str, value: str) -> None:
    assert cookie_of(header, "x") == value


def test_a_cookie_of_an_earlier_gateway_is_still_one() -> None:
    """Gateways of two versions stand side by side while one takes the place of the other."""
    text = "AAAX.fReiE2wkf-1K4au3ND8PlOU4X_DY7kKjuGaddvX96tU"
    assert seal("a", b"\0\0\x17", KEYS) == text
    assert unseal("a", text, KEYS) == b"\0\0\x17"
    assert mac("a", "text", KEYS) == "mSSTBVKod4XBxMkYtld9XW19lKP3eIQ6Fxgr1TAbfJA"


def test_any_text_can_be_proven() -> None:
    assert len({mac("a", text, KEYS) for text in ("", "\ud800", "\udcff", "?")}) == 4


def test_a_secret_is_read() -> None:
    assert parse_cookie_key(f" {'k' * 32}\n") == b"k" * 32
    with pytest.raises(ValueError, match="at least 32 bytes"):
        parse_cookie_key(f" {'k' * 31}\n")
    with pytest.raises(ValueError, match=r"^must be random text, no PEM file: openssl rand -base64 32$"):
        parse_cookie_key(f"\n-----BEGIN PRIVATE KEY-----\n{'k' * 32}\n-----END PRIVATE KEY-----")
