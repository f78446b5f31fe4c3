"""A second door to what a portal leads to: it has no lease and no life of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from ._caller_task import CallerTask
from ._exceptions import SessionClosedError
from ._future import CallFuture, Submission
from ._lease import Errand, L, Remote
from ._loop_run import Reason
from ._portal import Portal, State

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")


class Annex(Portal[T]):
    """A door beside a portal's own, to the same loop thread, with the same lease.

    Closing it only has it refuse further calls: what was opened through it, and calls in
    flight, stay as long as the portal is open. Making one, and closing it, costs no crossing.

    Args:
        portal: by whose lease the calls go.
        choose: returns, on the loop thread, the resident to call in place of the portal's
            own; None for that one. It lives as long as a call that is in flight.
        name: how errors call the owner.
    """

    def __init__(self, portal: Portal[T], choose: Callable[[T], T] | None, *, name: str) -> None:
        super().__init__(
            portal.loop_thread, portal._open_resident, portal._close_resident, name=name
        )
        self._portal = portal
        self._choose = choose

    @property
    def closed(self) -> bool:
        """Whether ``close`` has been called, here or at the portal."""
        return self._state is not State.OPEN or self._portal.closed

    @property
    def leased(self) -> bool:
        """Whether the portal is."""
        return self._portal.leased

    @property
    def crossings(self) -> int:
        """How many calls have crossed by the portal's lease, these here among them."""
        return self._portal.crossings

    def call(
        self,
        method: Callable[Concatenate[T, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As ``Portal.call``, with the chosen resident."""
        return self._portal.call(self._on_choice(method), *args, **kwargs)

    def open(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[V, Remote[L] | None]:
        """As ``Portal.open``, with the chosen resident."""
        return self._portal.open(self._on_choice(method), *args, **kwargs)

    def submit(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        finish: Callable[[V, Remote[L] | None], Awaitable[R]],
        submission: Submission[R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> CallFuture[R]:
        """As ``Portal.submit``, with the chosen resident."""
        chosen = self._on_choice(method)
        return self._portal.submit(chosen, finish, submission, *args, **kwargs)

    async def ready(self) -> None:
        """As ``Portal.ready``."""
        if self._state is not State.OPEN:
            raise SessionClosedError(f"{self._name} is closed")
        await self._portal.ready()

    async def acall(
        self,
        method: Callable[Concatenate[T, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As ``Portal.acall``, with the chosen resident."""
        return await self._portal.acall(self._on_choice(method), *args, **kwargs)

    async def aopen(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        submission: Submission[Any],
        beside: CallerTask | None,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[V, Remote[L] | None]:
        """As ``Portal.aopen``, with the chosen resident."""
        chosen = self._on_choice(method)
        return await self._portal.aopen(chosen, submission, beside, *args, **kwargs)

    def errand(self, live: L) -> Errand[L]:
        """As ``Portal.errand``. Loop thread only."""
        return self._portal.errand(live)

    async def aclose(self, reason: Reason, *, grace: float = 0.0) -> None:
        """As ``close``: it does not wait."""
        self.close(reason)

    def close(self, reason: Reason, *, grace: float = 0.0) -> None:
        """Refuse calls from now on. Does not block, and leaves the portal as it is."""
        self._state = State.CLOSED

    def abandon(self, reason: Reason) -> None:
        """As ``close``."""
        self._state = State.CLOSED

    def _on_choice(self, method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
        if self._state is not State.OPEN:
            raise SessionClosedError(f"{self._name} is closed")
        choose = self._choose
        if choose is None:
            return method

        def on_choice(resident: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return method(choose(resident), *args, **kwargs)

        return on_choice
