"""Redirects on a host whose clock is set, as after it was suspended."""

import time
from collections.abc import Hashable
from typing import Any, cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import NotFoundError
from gateway.messages import Caller, ObjectRequest, Redirect, Stream, nothing_to_close
from gateway.storage.base import Backend, Link
from gateway.storage.redirecting import RedirectingStorage

REQUEST = ObjectRequest("GET", "a.whl", {}, Caller("192.0.2.1"))
OPTIONS: dict[str, Any] = {
    "auto": False,
    "min_size": 0,
    "stream_user_agents": [],
    "check": True,
    "memory": MemoryLimit(10**6),
}


class Storage:
    """A backend with one object, and its links, which are valid for an hour."""

    proven = True
    absent = False

    @property
    def links(self) -> "Storage":
        return self

    def serves(self, caller: Caller) -> bool:
        return True

    def variant(self, caller: Caller) -> Hashable:
        return None

    async def get(self, key: str, caller: Caller) -> Link:
        return Link(f"https://bucket.example/{key}", time.time() + 3600, shared=True)

    async def fetch(self, request: ObjectRequest) -> Stream:
        if self.absent:
            raise NotFoundError("404 NoSuchKey")
        return Stream(200, {"Content-Length": "5"}, None, nothing_to_close)

    def expire(self) -> None:
        pass

    def forget(self, key: str) -> None:
        pass


@pytest.mark.parametrize("how", ["expire", "forget"])
async def test_a_clock_that_is_set_back_keeps_no_redirect_alive(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    backend = Storage()
    storage = RedirectingStorage(cast("Backend", backend), **OPTIONS)
    assert isinstance(await storage.fetch(REQUEST), Redirect)
    earlier = time.time() - 1800
    monkeypatch.setattr(time, "time", lambda: earlier)
    again = await storage.fetch(REQUEST)
    assert isinstance(again, Redirect)
    assert 0 < again.fresh_for <= 60
    assert again.headers["Cache-Control"].startswith("private, max-age=35"), "no client keeps it longer"
    backend.absent = True
    storage.expire() if how == "expire" else storage.forget("a.whl")
    with pytest.raises(NotFoundError):
        await storage.fetch(REQUEST)


async def test_a_clock_that_is_set_forward_ends_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Storage()
    storage = RedirectingStorage(cast("Backend", backend), **OPTIONS)
    assert isinstance(await storage.fetch(REQUEST), Redirect)
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    backend.absent = True
    with pytest.raises(NotFoundError):
        await storage.fetch(REQUEST)
