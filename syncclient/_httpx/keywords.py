"""The keywords of both libraries' transports, with either library's types."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

from .._session import Session
from .library import Library
from .settings import SocketOption, Way

L = TypeVar("L")
P = TypeVar("P")


class Keywords(Generic[L, P]):
    """What a transport may be given; ``L`` are the library's limits, ``P`` its proxies."""

    _library: ClassVar[Library]

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: L | None = None,
        proxy: P | str | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[SocketOption] | None = None,
        *,
        session: Session | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "verify": verify,
            "cert": cert,
            "trust_env": trust_env,
            "http1": http1,
            "http2": http2,
            "limits": limits,
            "proxy": proxy,
            "uds": uds,
            "local_address": local_address,
            "retries": retries,
            "socket_options": socket_options,
        }
        self._way = Way(self._library, session=session, **given)
        #: For the library's own transport: see ``Door._stand_in``.
        self._given = {name: value for name, value in given.items() if value is not None}
