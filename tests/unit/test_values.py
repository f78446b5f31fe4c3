"""Value: a frozen dataclass whose methods are compiled once."""

import copy
import pickle
from dataclasses import FrozenInstanceError, field, fields, replace

import pytest

from syncclient._values import Value


class Point(Value):
    x: int
    y: int = 0
    names: list[str] = field(default_factory=list, repr=False, compare=False)
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", abs(self.x) + abs(self.y))


class Named(Point, kw_only=True):
    name: str


def test_it_is_made_as_a_dataclass() -> None:
    """By position, by name, by default; fields of a subclass with ``kw_only`` by name only."""
    point = Point(1, y=-2)
    assert (point.x, point.y, point.names, point.size) == (1, -2, [], 3)
    assert Point(1).names is not Point(1).names
    named = Named(1, 2, name="a")
    assert (named.x, named.y, named.name) == (1, 2, "a")
    assert [each.name for each in fields(named)] == ["x", "y", "names", "size", "name"]
    assert replace(named, y=5) == Named(1, 5, name="a")


def test_wrong_arguments_are_refused() -> None:
    """None is made of too few, or of unknown ones."""
    with pytest.raises(TypeError, match="Named needs name"):
        Named(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Point takes no z"):
        Point(1, z=2)  # type: ignore[call-arg]


def test_it_is_compared_by_its_fields() -> None:
    """Equal are those of one class whose compared fields are; they have one hash."""
    assert Point(1, 2, ["a"]) == Point(1, 2, ["b"])
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Point(2, 1)
    assert Named(1, 2, name="a") != Point(1, 2)
    assert Point(1, 2) != (1, 2)


def test_it_does_not_change() -> None:
    """No attribute can be set or deleted."""
    point = Point(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x


def test_it_is_shown_copied_and_pickled() -> None:
    """A copy has the same fields; the repr leaves out what is not for it."""
    point = Point(1, 2, ["a"])
    assert repr(point) == "Point(x=1, y=2, size=3)"
    for same in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert same == point and same.names == ["a"] and same.size == 3
