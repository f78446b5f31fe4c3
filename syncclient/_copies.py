"""Sessions made of a session: derived ones, copies, and those that come out of a pickle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._exceptions import SessionClosedError
from ._given import SessionOptions, check_picklable, overridden
from ._settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Copies(Settings):
    """``with_options`` of a session, and what ``copy`` and ``pickle`` ask of it."""

    #: Whose connections this session uses; None for its own.
    _root: Copies | None = None
    #: The names of the attributes that are not a subclass's.
    _ours: set[str]
    _begin: Callable[..., None]

    if TYPE_CHECKING:

        def close(self) -> None:
            """Close the session."""

        @property
        def closed(self) -> bool:
            """Whether it is."""

    def with_options(self, **overrides: Unpack[SessionOptions]) -> Self:
        """Return a session with other settings on the connections and cookies of this one.

        Never blocks, and costs neither a thread nor a crossing; any thread may call it::

            slow = session.with_options(timeout=600, headers={"X-Priority": "low"})

        The settings of this session are taken as they are now: what is done later to the
        ``headers`` of either one, the other does not notice. ``headers`` are merged with
        this session's, as those of a request are; everything else is replaced. With another
        ``proxy`` this session's ``proxy_auth`` is left behind, and with a ``base_url`` of
        another origin its ``auth``.

        The derived session owns nothing. Closing it only has it refuse further requests;
        it need not be closed. Closing this one closes the derived ones, and all that was
        opened through them. One derived from a derived session is no different.

        Args:
            overrides: the keywords of ``Session``, but ``connector``, ``connector_owner``
                and ``loop_thread``. ``cookies`` wants a ``cookie_jar`` beside it, since
                the jar is shared otherwise; ``cookie_jar=None`` makes a new one.

        Raises:
            TypeError, ValueError: a setting is wrong, or cannot be another here.
            SessionClosedError: this session is closed.
        """
        if self.closed:
            raise SessionClosedError(f"{self!r} is closed")
        given = overridden(self._given_now(), overrides)
        derived = self._blank()
        derived._root = self._root or self
        derived._begin(**given)
        return derived

    def __copy__(self) -> Self:
        """Return a session that shares connections and cookies: ``with_options()``."""
        return self.with_options()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a session of its own, with these settings and a copy of these cookies.

        Blocks for a crossing, to copy the cookies. A closed session has a closed copy.
        """
        twin = memo[id(self)] = self._blank()
        twin.__dict__.update(copy.deepcopy(twin.__dict__, memo))
        given = self._given_now()
        twin._begin(**{**given, "cookie_jar": copy.deepcopy(self._cookie_jar, memo)})
        if self.closed:
            twin.close()
        return twin

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...], dict[str, Any]]:
        """Pickle settings and cookies; connections are made anew where they arrive.

        Blocks for a crossing, to copy the cookies. Any thread may do it, while others
        use the session. A closed session arrives closed, a derived one on its own.

        Raises:
            TypeError: a setting cannot be pickled; the message names its keyword.
        """
        given = self._given_now()
        check_picklable(given)
        return _arrived, (type(self), given, self.closed), self._blank().__dict__

    def _given_now(self) -> dict[str, Any]:
        """Return the keywords that make a session such as this one is by now."""
        # Copied in one step: another thread may be changing them.
        now = {"headers": self._defaults.headers.copy(), "cookie_jar": self._cookie_jar}
        given = {**self._given, **now}
        if self._portal.crossings:
            given.pop("cookies", None)  # they are in the jar, unless they were removed
        return given

    def _blank(self) -> Self:
        """Return a session without settings, with what a subclass has set in this one."""
        blank = type(self).__new__(type(self))
        own = {name: value for name, value in self.__dict__.items() if name not in self._ours}
        blank.__dict__.update(own)
        return blank


def _arrived(cls: type[Copies], given: dict[str, Any], closed: bool) -> Copies:
    session = cls.__new__(cls)
    session._begin(**given)
    if closed:
        session.close()
    return session
