"""In which order, and how many at once."""

import asyncio

import pytest

from gateway.index.screening.licences.search import AT_ONCE, Search
from gateway.index.simple.pages import File
from tests.support.eventually import eventually


class Documents:
    """Answers one request at a time, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Event] = {}

    async def read(self, url: str, limit: int) -> bytes:
        self.asked.append(url)
        await self.answers.setdefault(url, asyncio.Event()).wait()
        return b"License-Expression: MIT\n"


async def test_a_file_that_is_asked_for_comes_next() -> None:
    documents = Documents()
    files = {str(number): File(f"{number}.whl", f"https://x/{number}.whl") for number in range(10)}
    search = Search(documents, asyncio.Semaphore(AT_ONCE), files)
    running = asyncio.ensure_future(search.run())
    await eventually(lambda: len(documents.asked) == AT_ONCE)
    waiting = asyncio.ensure_future(search.until("9"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(documents.asked) == AT_ONCE
    documents.answers[documents.asked[0]].set()
    await eventually(lambda: len(documents.asked) > AT_ONCE)
    assert documents.asked[-1] == "https://x/9.whl.metadata"
    documents.answers[documents.asked[-1]].set()
    await waiting
    assert search.found.keys() == {"0", "9"}
    for url in (f"https://x/{number}.whl.metadata" for number in range(10)):
        documents.answers.setdefault(url, asyncio.Event()).set()
    await running
    assert len(search.found) == len(documents.asked) == 10
    await search.until(None)


class Defective:
    async def read(self, url: str, limit: int) -> bytes:
        if "1.whl" in url:
            raise RuntimeError("a bug")
        return b"License-Expression: MIT\n"


async def test_a_bug_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    files = {str(number): File(f"{number}.whl", f"https://x/{number}.whl") for number in range(3)}
    search = Search(Defective(), asyncio.Semaphore(1), files)
    await search.run()
    assert (set(search.found), search.failed, len(search)) == ({"0", "2"}, {"1"}, 0)
    assert "the licence of 1.whl can't be found out: this is a bug" in caplog.messages
