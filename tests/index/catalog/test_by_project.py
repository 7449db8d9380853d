from gateway.index.catalog.by_project import by_project, odd_names


def test_spellings_of_a_project_are_one_in_order() -> None:
    assert by_project(["b", "My_Proj", ".hidden", "", "my.proj"]) == {"b": ("b",), "my-proj": ("My_Proj", "my.proj")}


def test_names_that_no_release_can_have_are_odd() -> None:
    odd = ["lost+found", "-pycache-", "@eadir", "$recycle.bin", "a b", "-"]
    assert odd_names([*odd, "a", "my-proj", "p2", "straße", "x" * 300]) == frozenset(odd)
