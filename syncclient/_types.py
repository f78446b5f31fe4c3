"""Aliases for the arguments of public functions. Private: users write the plain types."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from http.cookies import BaseCookie, Morsel
from typing import Any

import aiohttp
from aiohttp import ClientTimeout, Fingerprint, HttpVersion
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy, istr
from yarl import URL

StrOrURL = str | URL

LooseHeaders = (
    Mapping[str, str]
    | Mapping[istr, str]
    | CIMultiDict[str]
    | CIMultiDictProxy[str]
    | MultiDict[str]
    | MultiDictProxy[str]
    | Iterable[tuple[str, str]]
)

CookieValue = str | BaseCookie[str] | Morsel[Any]
LooseCookies = Mapping[str, CookieValue] | Iterable[tuple[str, CookieValue]] | BaseCookie[str]

#: Seconds for the whole request, a ClientTimeout, (connect, read), or None or 0 for no limit.
Timeout = ClientTimeout | float | tuple[float | None, float | None] | None

SSLSetting = ssl.SSLContext | bool | Fingerprint

#: orjson.dumps and the like return bytes, and are accepted as well.
JSONEncoder = Callable[[Any], str | bytes]
JSONDecoder = Callable[[str], Any]

#: aiohttp's own, which have no type there.
HttpVersion10: HttpVersion = aiohttp.HttpVersion10
HttpVersion11: HttpVersion = aiohttp.HttpVersion11
