"""What connectors share that verify servers alike."""

import ssl
import weakref
from pathlib import Path

import pytest

from gateway.upstream.tls_contexts import context_of
from tests.support.certificates import self_signed

Way = tuple[bool | Path, tuple[Path, ...]]


def test_it_is_one_for_all_that_verify_alike(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    ways: list[Way] = [
        (True, ()),
        (False, ()),
        (pair[0], ()),
        (True, pair),
        (True, (pair[0], pair[1])),
    ]
    found = [context_of(*way) for way in ways]
    assert [context_of(*way) for way in ways] == found
    assert len({*found}) == 4
    assert [one.verify_mode for one in found] == [
        ssl.CERT_NONE if verify is False else ssl.CERT_REQUIRED for verify, _ in ways
    ]


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, _ = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    before = context_of(bundle, ()), context_of(True, ())
    bundle.write_text(bundle.read_text() + "\n")
    after = context_of(bundle, ()), context_of(True, ())
    assert {*before}.isdisjoint(after)


def test_it_is_kept_by_those_that_use_it_alone(tmp_path: Path) -> None:
    bundle, _ = self_signed(tmp_path)
    kept = weakref.ref(context_of(bundle, ()))
    assert kept() is None
