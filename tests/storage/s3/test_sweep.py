"""All objects of a bucket, listed side by side, by a server that is scripted here."""

import asyncio
from collections.abc import Container
from contextlib import aclosing
from typing import Any
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.storage.base import Batch
from gateway.storage.s3.layout import Layout
from gateway.storage.s3.sweep import Sweep


class Server:
    """Answers pages of `size` objects; `tree` lists a directory at the place of its name, as file systems do."""

    def __init__(self, *keys: str, size: int = 3, tree: bool = False) -> None:
        self.keys = set(keys)
        self.size = size
        self.tree = tree
        self.asked: list[tuple[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.fail_at: str | None = None

    def order(self, key: str) -> Any:
        return key.split("/") if self.tree else key.encode()

    async def page(
        self, prefix: str, *, token: str | None = None, after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> bytes:
        self.asked.append((prefix, token or after))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.fail_at is not None and (token or after) >= self.fail_at:
            raise UpstreamError("down")
        start = self.order(token or after)
        keys = sorted((key for key in self.keys if key.startswith(prefix)), key=self.order)
        keys = [key for key in keys if self.order(key) > start]
        if delimiter:
            names = {key[len(prefix) :].partition("/")[0] + "/" * ("/" in key[len(prefix) :]) for key in keys}
            found = sorted(names)[:limit]
            folders = "".join(
                f"<CommonPrefixes><Prefix>{escape(quote_plus(prefix + name))}</Prefix></CommonPrefixes>"
                for name in found
                if name.endswith("/")
            )
            objects = "".join(_contents(prefix + name) for name in found if not name.endswith("/"))
            return _xml(objects + folders, "more" if len(names) > limit else None)
        shown = keys[: self.size]
        return _xml("".join(map(_contents, shown)), shown[-1] if len(keys) > len(shown) else None)

    async def sweep(self, prefix: str = "", known: Container[bytes] = ()) -> list[Batch]:
        layout = Layout("")
        async with aclosing(Sweep(self.page, layout, prefix, known).batches()) as batches:
            return sorted([batch async for batch in batches], key=lambda batch: batch.order)


def _contents(key: str) -> str:
    return (
        f"<Contents><Key>{escape(quote_plus(key))}</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>"
        f"<ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>"
    )


def _xml(inner: str, token: str | None) -> bytes:
    more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token is not None else ""
    return (
        f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(token is not None).lower()}</IsTruncated>"
        f"{more}{inner}</ListBucketResult>"
    ).encode()


def keys(batches: list[Batch]) -> list[str]:
    return [item.key for batch in batches for item in batch.objects or ()]


MANY = [f"{letter}{number:03}/x-{number}.whl" for letter in "abcxyzABC05" for number in range(20)]
NAMES = st.text(st.sampled_from("aAbzZ059~-_./ %+é\U0001f600"), min_size=1, max_size=6)


async def test_few_pages_are_listed_one_after_the_other() -> None:
    server = Server(*MANY[:40])
    assert keys(await server.sweep()) == sorted(MANY[:40])
    assert (len(server.asked), server.most_at_once) == (14, 1)


async def test_many_pages_are_listed_side_by_side() -> None:
    server = Server(*MANY)
    assert keys(await server.sweep()) == sorted(MANY)
    assert server.most_at_once == 8
    assert len(server.asked) < len(MANY) / 3 + 80


@pytest.mark.parametrize("number", [1, 10, 16])
async def test_a_page_without_objects_is_not_the_end(number: int) -> None:
    """S3 may answer with fewer objects than there are, or none, and say that there are more."""
    server, pages = Server(*MANY), 0

    async def page(
        prefix: str, *, token: str | None = None, after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> bytes:
        nonlocal pages
        pages += not delimiter
        if pages == number and not delimiter:
            return _xml("", f"{token or after}+")
        token = token.removesuffix("+") if token is not None else None
        return await server.page(prefix, token=token, after=after, limit=limit, delimiter=delimiter)

    async with aclosing(Sweep(page, Layout(""), "", ()).batches()) as batches:
        assert sorted(keys([batch async for batch in batches])) == sorted(MANY)


async def test_what_lies_in_one_folder_is_split_there() -> None:
    server = Server(*(f"all/of/it/{key}" for key in MANY))
    found = await server.sweep("all/")
    assert len(keys(found)) == len(MANY)
    assert len({batch.order[0] for batch in found if batch.objects}) > 5


@settings(max_examples=60)
@given(st.sets(NAMES, max_size=120), st.booleans(), st.integers(1, 4))
def test_every_object_is_told_once(names: set[str], tree: bool, size: int) -> None:
    if tree:  # a name is a file or a directory there
        names = {name.strip("/").replace("//", "/").replace("/", "d/") + ".whl" for name in names}
    found = keys(asyncio.run(Server(*names, size=size, tree=tree).sweep()))
    assert (set(found), len(found)) == (names, len(names))
    assert tree or found == sorted(names, key=str.encode)


async def test_batches_that_are_known_are_not_read_again() -> None:
    server = Server(*MANY)
    known = {batch.digest for batch in await server.sweep()}
    again = await server.sweep(known=known)
    assert keys(again) == []
    assert {batch.digest for batch in again} == known
    server.keys.add("b007/new.whl")
    changed = await server.sweep(known=known)
    assert "b007/new.whl" in keys(changed)
    assert len(keys(changed)) <= 20 + 1, "those after it, of the same letter"
    server.keys.remove("b007/new.whl")
    server.keys.remove("z019/x-19.whl")
    assert {batch.digest for batch in await server.sweep()} != known


async def test_what_fails_in_the_middle_fails_all() -> None:
    server = Server(*MANY)
    server.fail_at = "x"
    with pytest.raises(UpstreamError, match="down"):
        await server.sweep()
    await asyncio.sleep(0)
    before = len(server.asked)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(server.asked) == before, "nothing goes on"


async def test_a_listing_without_an_end_is_refused() -> None:
    async def page(prefix: str, **query: object) -> bytes:
        return _xml(_contents("a"), "again")

    with pytest.raises(UpstreamError, match="no end"):
        _ = [batch async for batch in Sweep(page, Layout(""), "", ()).batches()]


async def test_a_listing_with_ever_new_tokens_for_the_same_objects_is_refused() -> None:
    pages = 0

    async def page(prefix: str, **query: object) -> bytes:
        nonlocal pages
        pages += 1
        return _xml(_contents("a"), f"token-{pages}")

    with pytest.raises(UpstreamError, match="the same objects"):
        _ = [batch async for batch in Sweep(page, Layout(""), "", ()).batches()]
    assert pages == 2
