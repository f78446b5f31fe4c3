"""The ``ssl=`` argument: its types, its older spellings, and the system's trust store."""

from __future__ import annotations

import functools
import ssl as ssl_module
import sys
import warnings
from types import FrameType
from typing import Literal, TypeAlias

from aiohttp import Fingerprint

from .._types import SSLSetting

try:
    import truststore
except ImportError:  # an extra
    truststore = None  # type: ignore[assignment]

#: The types of ``ssl=``. True verifies against certifi's authorities, or those that SSL_CERT_FILE
#: and SSL_CERT_DIR name; "system" against the operating system's.
SSLArgument: TypeAlias = ssl_module.SSLContext | bool | Fingerprint | Literal["system"] | None


def merge_ssl(
    ssl: SSLArgument,
    verify_ssl: bool | None = None,
    ssl_context: ssl_module.SSLContext | None = None,
    fingerprint: bytes | None = None,
    *,
    stacklevel: int | None = None,
) -> SSLSetting:
    """Merge ``ssl`` and its three older spellings into one setting.

    Args:
        stacklevel: The line that a DeprecationWarning points to, as counted by warnings.warn() in
            the function that calls this one. None means the first line outside this package.

    Raises:
        ValueError: More than one of the four is given.
        TypeError: One of them has a wrong type.
        ImportError: ``ssl="system"`` without truststore.
    """
    if verify_ssl is not False and ssl_context is None and fingerprint is None:
        return ssl if ssl is True or ssl is False else _setting(ssl)
    setting: SSLArgument = ssl
    for name, instead, value in (
        ("verify_ssl", "ssl=False", False if verify_ssl is False else None),
        ("ssl_context", "ssl=context", ssl_context),
        ("fingerprint", "ssl=Fingerprint(fingerprint)", fingerprint),
    ):
        if value is None:
            continue
        warnings.warn(
            f"{name} is deprecated, use {instead} instead",
            DeprecationWarning,
            stacklevel=(stacklevel or _frames_to_caller()) + 1,
        )
        if setting is not True and setting is not None:
            raise ValueError(
                "verify_ssl, ssl_context, fingerprint and ssl parameters are mutually exclusive"
            )
        setting = Fingerprint(value) if isinstance(value, bytes) else value
    return _setting(setting)


def _frames_to_caller() -> int:
    """Return the number of frames between merge_ssl() and the user's line."""
    package = __name__.partition(".")[0]
    level = 1
    frame = sys._getframe(2)
    while frame.f_back is not None and _package_of(frame) == package:
        frame = frame.f_back
        level += 1
    return level


def _package_of(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


def _setting(ssl: SSLArgument) -> SSLSetting:
    if ssl is None:
        return True
    if isinstance(ssl, (bool, ssl_module.SSLContext, Fingerprint)):
        return ssl
    if ssl == "system":
        return system_context()
    raise TypeError(
        'ssl must be True, False, "system", an ssl.SSLContext or a Fingerprint, '
        f"not {type(ssl).__name__}"
    )


def is_system_context(context: ssl_module.SSLContext) -> bool:
    """Return whether ``context`` is the context for ``ssl="system"``."""
    return system_context.cache_info().currsize > 0 and context is system_context()


@functools.cache
def system_context() -> ssl_module.SSLContext:
    """Return the context that verifies with the operating system's trust store.

    Created once per process. Any thread may call this.

    Raises:
        ImportError: truststore, which reads that store, is not installed.
    """
    if truststore is None:
        raise ImportError('ssl="system" needs truststore: pip install truststore')
    context = truststore.SSLContext(ssl_module.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context
