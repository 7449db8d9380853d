"""Bodies verified in blocks: only what is read, each block once, and no damaged byte given out."""

import hashlib
import os
from pathlib import Path

import pytest

from gateway.cache.disk.blocks import BLOCK_BYTES, BlockHasher, Blocks, DamagedError, hashes_length
from gateway.transfer.open_file import OpenFile

SIZE = 3 * BLOCK_BYTES + 5
BODY = os.urandom(SIZE)
OTHER = bytes([BODY[2 * BLOCK_BYTES] ^ 1])


def blocks(path: Path, content: bytes = BODY) -> Blocks:
    hasher = BlockHasher()
    hasher.update(BODY)
    path.write_bytes(content + b"what follows the body")
    return Blocks(OpenFile(os.open(path, os.O_RDONLY)), SIZE, hasher.finish(), {0, 1, 2, 3})


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, SIZE])
def test_the_same_hashes_however_the_body_comes(size: int) -> None:
    expected = b"".join(
        hashlib.sha256(BODY[:size][at : at + BLOCK_BYTES]).digest() for at in range(0, size, BLOCK_BYTES)
    )
    for step in (1_000_000, BLOCK_BYTES, 3_000_000, SIZE):
        hasher = BlockHasher(whole=True)
        for start in range(0, size, step):
            hasher.update(BODY[start : min(start + step, size)])
        assert hasher.sha256 == hashlib.sha256(BODY[:size]).hexdigest()
        assert hasher.finish() == expected
        assert len(expected) == hashes_length(size)
    assert BlockHasher().sha256 is None


def test_only_the_blocks_that_are_read_are_verified(tmp_path: Path) -> None:
    body = blocks(tmp_path / "body")
    assert body.verified_from(10, SIZE) == 10
    body.verify(BLOCK_BYTES + 1, 2 * BLOCK_BYTES)
    assert body.pending == {0, 2, 3}
    assert body.verified_from(BLOCK_BYTES + 1, SIZE) == 2 * BLOCK_BYTES
    assert body.verified_from(BLOCK_BYTES + 1, BLOCK_BYTES + 9) == BLOCK_BYTES + 9
    body.verify(BLOCK_BYTES, SIZE)
    assert body.pending == {0}
    assert body.verified_from(BLOCK_BYTES, SIZE) == SIZE
    body.verify(0, SIZE)
    assert not body.pending
    assert body.verified_from(0, SIZE) == SIZE


@pytest.mark.parametrize("damaged", [BODY[: 2 * BLOCK_BYTES] + OTHER + BODY[2 * BLOCK_BYTES + 1 :], BODY[:-1]])
def test_damage_shows_where_it_is(tmp_path: Path, damaged: bytes) -> None:
    body = blocks(tmp_path / "body", damaged)
    body.verify(0, 2 * BLOCK_BYTES)
    with pytest.raises(DamagedError, match="has changed") as found:
        body.verify(2 * BLOCK_BYTES, SIZE)
    assert found.value.code == "FileSystem"
    assert body.verified_from(0, SIZE) <= 3 * BLOCK_BYTES


def test_a_file_that_can_not_be_read_counts_as_damaged(tmp_path: Path) -> None:
    directory = Blocks(OpenFile(os.open(tmp_path, os.O_RDONLY)), SIZE, bytes(4 * 32), {0})
    with pytest.raises(DamagedError) as found:
        directory.verify(0, SIZE)
    assert (found.value.detail, found.value.code) == ("a cached object can't be read: Is a directory", "FileSystem")
    assert directory.pending == {0}
