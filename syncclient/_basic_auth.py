"""BasicAuth: aiohttp's, without the warning that aiohttp 4 will remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from typing_extensions import Self


class BasicAuth(aiohttp.BasicAuth):
    """Credentials for HTTP Basic authentication (RFC 7617): ``auth=BasicAuth(login, password)``.

    A pair ``(login, password)`` works too, and is encoded as UTF-8.

    Args:
        login: the user's name, without a colon.
        password: the user's password.
        encoding: the encoding of both.
    """

    def __new__(cls, login: str, password: str = "", encoding: str = "latin1") -> Self:
        for name, value in (("login", login), ("password", password)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
        if ":" in login:
            raise ValueError("login must not contain a colon (RFC 7617, section 2)")
        return tuple.__new__(cls, (login, password, encoding))
