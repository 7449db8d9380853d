"""Pages that are made, or changed, while others change the same files."""

from pathlib import Path

import pytest

from gateway.index.simple.static_page import project_of
from gateway.storage.local.storage import LocalStorage
from tests.conftest import StartGateway
from tests.publish.static_pages.test_static_pages import (
    CONTENT,
    DIGEST,
    FILE,
    MANAGED,
    PAGE,
    just_before,
    listed,
    managed,
)
from tests.publish.test_uploads import OPEN, basic
from tests.support.faults import FaultyBucket, error
from tests.support.uploads import upload

GONE, YANKED, CAME = (f"acme_web-0.{number}.tar.gz" for number in range(7, 10))


async def test_the_first_page_shows_what_has_become_of_older_files_while_one_came(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"acme-web/{GONE}": b"old", f"acme-web/{YANKED}": b"old"}
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.write_pages": "true"})

    def change() -> None:
        del faulty.objects[f"acme-web/{GONE}"]
        faulty.objects |= {f"acme-web/{YANKED}.yanked": b"it breaks", f"acme-web/{CAME}": b"new"}

    just_before(faulty, "PUT", f"acme-web/{FILE}", change)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert [(file.name, file.yanked is not None) for file in listed(faulty)] == [
        (YANKED, True),
        (CAME, False),
        (FILE, False),
    ]


async def test_a_first_page_is_made_where_nothing_may_be_listed(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.of_key[""] = error(403, "AccessDenied")
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.write_pages": "true"})
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert [file.name for file in listed(faulty)] == [FILE]


async def test_a_file_that_may_not_be_looked_at_for_a_moment_stays_on_the_page(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    key = f"acme-web/{FILE}"
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.write_pages": "true"})
    just_before(faulty, "PUT", PAGE, lambda: faulty.of_key.update({key: error(403, "AccessDenied")}))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 502
    assert [file.name for file in listed(faulty)] == [FILE]
    del faulty.of_key[key]
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert [file.hashes for file in listed(faulty)] == [{"sha256": DIGEST}]


async def test_a_directory_s_page_keeps_what_it_says_of_a_file_that_comes_back_while_it_is_deleted(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory tells neither its hash nor its Requires-Python."""
    page, delete = tmp_path / "p/acme-web/index.html", LocalStorage.delete
    page.parent.mkdir(parents=True)
    gateway = await start_gateway(MANAGED | {"storage.dir": str(tmp_path / "p"), "publish.write_pages": "true"})
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    linked = page.read_text().replace("<a ", '<a data-requires-python="&gt;=3.99" ')

    async def deleted(self: LocalStorage, key: str) -> None:
        await delete(self, key)
        if key == f"acme-web/{FILE}":
            page.with_name(FILE).write_bytes(CONTENT)
            page.write_text(linked)

    monkeypatch.setattr(LocalStorage, "delete", deleted)
    assert await managed(gateway, {"action": "delete", "version": "1.0"}) == 200
    (file,) = project_of("acme-web", page.read_text()).files
    assert (file.hashes, file.requires_python) == ({"sha256": DIGEST}, ">=3.99")
