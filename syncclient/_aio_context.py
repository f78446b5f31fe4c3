"""What ``session.aio.get(url)`` returns: to be awaited, or entered by ``async with``."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

R = TypeVar("R", bound="Entered", covariant=True)


class Entered(Protocol):
    """What is the target of ``async with``."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any: ...


class RequestContext(Coroutine[Any, Any, R], Generic[R]):
    """A request that is made when it is awaited, or when its ``async with`` block is entered.

    A coroutine, so that ``asyncio.create_task`` takes it. Source: aiohttp's of the like.
    """

    __slots__ = ("_coroutine", "_result")

    def __init__(self, coroutine: Coroutine[Any, Any, R]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any, /) -> Any:
        """Go on; for event loops."""
        return self._coroutine.send(value)

    def throw(self, *args: Any) -> Any:
        """Raise inside; for event loops."""
        return self._coroutine.throw(*args)

    def close(self) -> None:
        """End it where it stands; for event loops."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, R]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> R:
        self._result = await self._coroutine
        await self._result.__aenter__()
        return self._result

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._result.__aexit__(exc_type, exc_value, traceback)
