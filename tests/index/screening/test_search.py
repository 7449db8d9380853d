"""In which order, and how many at once."""

import asyncio

import pytest

from gateway.index.screening.search import AT_ONCE, Search
from gateway.index.simple.pages import File
from tests.support.eventually import eventually


class Documents:
    """Answers one request at a time, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Event] = {}

    async def read(self, file: File) -> str:
        self.asked.append(file.name)
        await self.answers.setdefault(file.name, asyncio.Event()).wait()
        return "MIT"


async def test_a_file_that_is_asked_for_comes_next() -> None:
    documents = Documents()
    files = {str(number): File(f"{number}.whl", f"https://x/{number}.whl") for number in range(10)}
    ended = asyncio.Event()
    search = Search(documents.read, "licence", asyncio.Semaphore(AT_ONCE), ended.set)
    search.add(files, len(files))
    await eventually(lambda: len(documents.asked) == AT_ONCE)
    search.add({"9": files["9"]}, 1, first=True)
    waiting = asyncio.ensure_future(search.until("9"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(documents.asked) == AT_ONCE
    documents.answers[documents.asked[0]].set()
    await eventually(lambda: len(documents.asked) > AT_ONCE)
    assert documents.asked[-1] == "9.whl"
    documents.answers[documents.asked[-1]].set()
    await waiting
    assert search.found.keys() == {"0", "9"}
    for file in files.values():
        documents.answers.setdefault(file.name, asyncio.Event()).set()
    await ended.wait()
    assert len(search.found) == len(documents.asked) == 10
    await search.until(files)


async def defective(file: File) -> str:
    if file.name == "1.whl":
        raise RuntimeError("a bug")
    return "MIT"


async def test_a_bug_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    files = {str(number): File(f"{number}.whl", f"https://x/{number}.whl") for number in range(3)}
    search = Search(defective, "licence", asyncio.Semaphore(1), lambda: None)
    search.add(files, len(files))
    await search.until(files)
    assert (set(search.found), search.failed, len(search)) == ({"0", "2"}, {"1"}, 0)
    assert "the licence of 1.whl can't be found out: this is a bug" in caplog.messages
