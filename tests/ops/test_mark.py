import os

from gateway.ops.mark import SharedMark


def test_every_process_sees_each_change_once() -> None:
    mark = SharedMark()
    assert not mark.has_changed()
    for _ in range(3):
        child = os.fork()
        if not child:
            mark.change()
            os._exit(0 if mark.has_changed() and not mark.has_changed() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert mark.has_changed()
        assert not mark.has_changed()


def test_changes_by_several_at_once_are_not_taken_for_one() -> None:
    """A counter that two read before either writes would look the same after the second."""
    mark = SharedMark()
    seen = set()
    for _ in range(100):
        mark.change()
        seen.add(mark._shared[:])
    assert len(seen) == 100
