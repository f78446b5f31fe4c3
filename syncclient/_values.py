"""Value: immutable values, compared by their fields."""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """Makes its subclasses frozen dataclasses whose methods are here.

    ``@dataclass(frozen=True)`` writes, compiles and runs the source of such methods for each
    class, which takes as long as importing a module or two. So this is for values made rarely; and
    not for users to make, since their arguments show in no signature.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _wanted: ClassVar[tuple[Field[Any], ...]]
    _positional: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        super().__init_subclass__()
        dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        cls._wanted = tuple(each for each in fields(cls) if each.init)
        cls._positional = tuple(each.name for each in cls._wanted if not each.kw_only)

    def __init__(self, *args: Any, **given: Any) -> None:
        if args:
            given |= zip(self._positional, args, strict=False)
        put = object.__setattr__
        for each in self._wanted:
            name = each.name
            if name in given:
                put(self, name, given.pop(name))
            elif each.default is not MISSING:
                put(self, name, each.default)
            elif each.default_factory is not MISSING:
                put(self, name, each.default_factory())
            else:
                raise TypeError(f"{type(self).__name__} needs {name}")
        if given:
            raise TypeError(f"{type(self).__name__} takes no {', '.join(given)}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check or complete the fields, in subclasses."""

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _compared(self) -> tuple[object, ...]:
        return tuple(getattr(self, each.name) for each in fields(self) if each.compare)
