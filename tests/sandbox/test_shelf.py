from qaip_sandbox.shelf import Shelf


def test_the_oldest_of_too_many_are_lost() -> None:
    shelf: Shelf[str, int] = Shelf(2)
    shelf["one"], shelf["two"] = 1, 2
    shelf["one"] = 10  # used again: no longer the oldest
    shelf["three"] = 3
    assert dict(shelf) == {"one": 10, "three": 3}
