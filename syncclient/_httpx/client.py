"""How a client of httpx or httpx2 gets our transport, for the proxies of its environment too."""

from __future__ import annotations

from typing import Any, ClassVar

from .._session import Session

#: The private methods of a client that make its transports.
_HOOKS = ("_init_transport", "_init_proxy_transport")


class TransportHooks:
    """Stands before the library's client, and makes our transports in place of its own.

    Args:
        session: whose connections to use; None makes one for each transport.
        options: the keywords of the library's client.
    """

    _transports: ClassVar[type[Any]]
    #: What the client hands its transports where no limits were given.
    _default_limits: ClassVar[object]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        theirs: Any = cls.__mro__[cls.__mro__.index(TransportHooks) + 1]
        if not all(hasattr(theirs, hook) for hook in _HOOKS):
            library = theirs.__module__.partition(".")[0]
            raise ImportError(
                f"{theirs.__name__} of this {library} cannot be given another transport"
            )
        cls._default_limits = (theirs.__init__.__kwdefaults__ or {}).get("limits")

    def __init__(self, *, session: Session | None = None, **options: Any) -> None:
        if session is not None and options.get("transport") is not None:
            name = self._transports.__name__
            raise TypeError(f"transport= and session= exclude each other: {name}(session=...)")
        self._session = session
        super().__init__(**options)

    def _init_transport(self, *args: Any, transport: Any = None, **options: Any) -> Any:
        return self._made(options) if transport is None else transport

    def _init_proxy_transport(self, proxy: Any, *args: Any, **options: Any) -> Any:
        return self._made(options, proxy=proxy)

    def _made(self, options: dict[str, Any], **more: Any) -> Any:
        if self._session is not None and options.get("limits") is self._default_limits:
            # Beside a session without the limits that were not given.
            options = {name: value for name, value in options.items() if name != "limits"}
        return self._transports(session=self._session, **more, **options)
