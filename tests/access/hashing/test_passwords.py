"""Hashes that other programs made, and those that are refused."""

import shutil
import subprocess
import sys

import pytest

from gateway.access.hashing import libcrypt, passwords
from gateway.access.hashing.passwords import PasswordHash, new_hash, parse
from gateway.errors import ConfigError

WORD = "pässword".encode()
HASHES = {  # by openssl passwd, openssl sha1, perl's crypt, bcrypt and argon2-cffi
    "$6$": "$6$saltsalt$rVIyJtXnL0mXUCLepstXWqeOv9JVyd7nOH8wn0BvOU5lCiAviUJLxXZ5CkPgq6XNTHV22yG4mV0IO9gqPL5WQ.",
    "$5$": "$5$saltsalt$rQBvFGQx3u6doxkk7cvWbhhnhS2qa1.FI.tt6NGFH66",
    "apr1": "$apr1$saltsalt$553eXAj/BD3irf9w9nutz/",
    "{SHA}": "{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=",
    "$2y$": "$2y$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG",
    "$2b$": "$2b$04$Ym8J0Wtu7aolFM0Aq67L.OcYLqukpaz0kibzOeRgJ1uEMRrW85FUu",
    "argon2": "$argon2id$v=19$m=64,t=1,p=1$1DTNXL8FvqF5XeNpW9P8zg$TJJb8MtgEN4S0w/fSjFWrmo9Rv+AA3wfOBDKuOgss1A",
}
A80 = "$2y$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe"  # of 80 times "a", by perl's crypt


@pytest.mark.parametrize("text", HASHES.values(), ids=HASHES)
def test_only_the_password_is_right(text: str) -> None:
    known = parse(text)
    assert known.verify(WORD)
    for wrong in (b"", b"password", WORD + b"\0", WORD + b"\0x", WORD * 200, WORD + b"x"):
        assert not known.verify(wrong)
    assert text not in repr(known)


def test_sha_crypt_without_a_libcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypt, "_function", lambda: None)
    for kind in ("$5$", "$6$"):
        assert parse(HASHES[kind]).verify(WORD)
        assert not parse(HASHES[kind]).verify(b"wrong")


def test_bcrypt_ignores_what_htpasswd_ignores() -> None:
    known = parse(A80)
    assert known.verify(b"a" * 80)
    assert known.verify(b"a" * 72)
    assert not known.verify(b"a" * 71)


@pytest.mark.skipif(shutil.which("htpasswd") is None, reason="no htpasswd")
@pytest.mark.parametrize("kind", ["-B", "-m", "-s", "-2", "-5"])
def test_a_hash_by_htpasswd(kind: str) -> None:
    made = subprocess.run(["htpasswd", "-nb", kind, "u", "secret"], capture_output=True, text=True, timeout=20)
    if made.returncode:
        pytest.skip("this htpasswd does not know the kind")
    known = parse(made.stdout.strip().partition(":")[2])
    assert (known.verify(b"secret"), known.verify(b"Secret")) == (True, False)


REFUSED = [
    (HASHES["$2b$"].replace("$04$", "$17$"), "cost"),
    (HASHES["$2b$"].replace("$04$", "$03$"), "cost"),
    (HASHES["$6$"].replace("$6$", "$6$rounds=1000001$"), "rounds"),
    (HASHES["$6$"].replace("$6$", "$6$rounds=999$"), "rounds"),
    (HASHES["$6$"].replace("$6$", "$5$"), "no complete hash"),
    (HASHES["argon2"].replace("m=64", "m=262145"), "256 MiB"),
    (HASHES["argon2"].replace("t=1", "t=11"), "t=10"),
    (HASHES["argon2"].replace("m=64,t=1,p=1", "m=999,t=1,p=17"), "p=16"),
    (HASHES["argon2"].replace("argon2id", "argon2i"), "argon2id"),
    (HASHES["$2b$"][:-1], "no complete hash"),
    (HASHES["apr1"] + "\n", "no complete hash"),
    ("$1$saltsalt$tOP9V/Htn9fUnxBnvMzlm1", "known kind"),
    ("plaintext", "known kind"),
    ("", "known kind"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_refused_is_not_quoted(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse(text)
    assert not text or text not in str(caught.value)


def test_a_fault_that_only_the_library_sees_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(self: PasswordHash, password: bytes) -> bool:
        raise ValueError("Invalid salt")

    monkeypatch.setattr(PasswordHash, "_matches", fault)
    assert not parse(HASHES["$2b$"]).verify(WORD)


def test_a_new_hash_is_bcrypt_of_cost_12() -> None:
    text = new_hash(WORD)
    assert text.startswith("$2b$12$")
    assert parse(text).verify(WORD)
    for wrong in (b"", b"a\0b", b"a" * 73):
        with pytest.raises(ValueError, match="the password"):
            new_hash(wrong)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(ConfigError, match=r"pip install 's3-package-gateway\[access\]'"):
        passwords.require_libraries()


def test_no_library_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys, gateway.access.authenticators.users, gateway.cli.main;"
        "sys.exit(bool({'bcrypt', 'argon2', 'passlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
