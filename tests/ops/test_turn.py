import os
from collections.abc import Callable

import pytest

from gateway.ops.turn import MOST_NOTE_BYTES, Turn


def in_another_process(does: Callable[[], bool]) -> bool:
    child = os.fork()
    if not child:
        os._exit(0 if does() else 1)
    return os.waitpid(child, 0)[1] == 0


def test_one_process_has_the_turn() -> None:
    turn = Turn()
    assert turn.take()
    assert not in_another_process(turn.take)
    turn.leave()
    assert in_another_process(turn.take)
    assert turn.take(), "the turn of a process that has ended is over"


def test_a_note_is_left_for_the_others() -> None:
    turn = Turn()
    assert (turn.note, turn.begun) == (b"", False)
    turn.begin()

    def leave() -> bool:
        turn.note = b"x" * MOST_NOTE_BYTES
        turn.note = b"a note"
        return True

    assert in_another_process(leave)
    assert (turn.note, turn.begun) == (b"a note", True)
    turn.note = b"x" * MOST_NOTE_BYTES
    assert turn.note == b"x" * MOST_NOTE_BYTES
    turn.note = b"x" * (MOST_NOTE_BYTES + 1)
    assert (turn.note, turn.begun) == (b"", True)


def test_alone_a_process_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: pytest.fail("a container's root may be read-only"))
    turn = Turn(shared=False)
    assert turn.take()
    turn.leave()
