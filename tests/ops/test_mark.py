import fcntl
import os

from gateway.ops.mark import EVERYTHING, SharedMark


def test_every_process_sees_each_change_once() -> None:
    mark = SharedMark()
    assert mark.changes() == ()
    for _ in range(3):
        child = os.fork()
        if not child:
            mark.change()
            os._exit(0 if mark.changes() == (EVERYTHING,) and mark.changes() == () else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert mark.changes() == (EVERYTHING,)
        assert mark.changes() == ()


def test_changes_by_several_at_once_are_not_taken_for_one() -> None:
    """A counter that two read before either writes would look the same after the second."""
    mark = SharedMark()
    seen = set()
    for _ in range(100):
        mark.change()
        seen.add(mark._shared[:])
    assert len(seen) == 100


def test_every_process_hears_the_projects_that_another_names() -> None:
    mark = SharedMark()
    child = os.fork()
    if not child:
        mark.change("acme")
        mark.change("ünder")
        os._exit(0 if mark.changes() == ["acme", "ünder"] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert mark.changes() == ["acme", "ünder"]
    assert mark.changes() == ()
    mark.change("other")
    mark.change()
    assert mark.changes() == (EVERYTHING,)
    mark.change("last")
    assert mark.changes() == ["last"]


def test_who_misses_some_of_the_projects_forgets_everything() -> None:
    for count in (63, 64, 65, 200):
        mark = SharedMark()
        for number in range(count):
            mark.change(f"p{number}")
        assert mark.changes() == ([f"p{number}" for number in range(63)] if count == 63 else (EVERYTHING,))
        mark.change("acme")
        assert mark.changes() == ["acme"]


def test_a_name_that_has_no_room_is_everything() -> None:
    mark = SharedMark()
    mark.change("x" * 255)
    assert mark.changes() == ["x" * 255]
    mark.change("x" * 256)
    assert mark.changes() == (EVERYTHING,)


def test_nobody_waits_for_a_process_that_is_naming_a_project() -> None:
    mark = SharedMark()
    ready, go_on = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        fcntl.lockf(mark._lock, fcntl.LOCK_EX)
        os.write(ready[1], b"x")
        os.read(go_on[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    mark.change("acme")
    assert mark.changes() == (EVERYTHING,)
    os.write(go_on[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    mark.change("acme")
    assert mark.changes() == ["acme"], "a process that ends gives the lock up"
    for end in (*ready, *go_on):
        os.close(end)


def test_no_project_is_lost_where_many_name_them_at_once() -> None:
    mark = SharedMark()
    children = []
    for process in range(4):
        child = os.fork()
        if not child:
            for number in range(10):
                mark.change(f"{process}-{number}")
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    named = {f"{process}-{number}" for process in range(4) for number in range(10)}
    found = mark.changes()
    assert found == (EVERYTHING,) or set(found) == named
