"""TLS trust: the certificate authorities that connections trust by default."""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from typing import TYPE_CHECKING

import aiohttp
import certifi

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest


def default_context() -> ssl.SSLContext:
    """Return the context that ``ssl=True`` means: certificate and host name are verified.

    Trusted are the authorities of certifi. ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, where set,
    take certifi's place, as they do for OpenSSL, curl and aiohttp: who narrows the trust of a
    process must not have it widened again behind their back.

    Built once per process for each value of the two variables and never changed afterwards;
    the first call reads a quarter of a megabyte of certificates and takes some 20 ms, so call
    it on a worker thread. Safe from any thread.

    Raises:
        ssl.SSLError: A variable names what is missing or holds no certificates; the message
            names the variable and the path.
    """
    return _verifying_context(
        os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    )


@functools.lru_cache(maxsize=8)
def _verifying_context(cert_file: str, cert_dir: str) -> ssl.SSLContext:
    directories = [path for path in cert_dir.split(os.pathsep) if os.path.isdir(path)]
    if cert_dir and not directories:
        raise _unusable(f"SSL_CERT_DIR names {cert_dir!r}, which is no directory")
    cafile = cert_file or None
    if not cafile and not directories:
        cafile = certifi.where()
    try:
        # Never without an argument: then it would take in the system's store.
        context = ssl.create_default_context(
            cafile=cafile, capath=os.pathsep.join(directories) or None
        )
    except FileNotFoundError:
        raise _unusable(f"SSL_CERT_FILE names {cafile!r}, which does not exist") from None
    except ssl.SSLError as exc:
        raise _unusable(f"SSL_CERT_FILE names {cafile!r}, which holds no PEM certificates") from exc
    except OSError as exc:
        raise _unusable(f"SSL_CERT_FILE names {cafile!r}: {exc.strerror}") from exc
    context.set_alpn_protocols(["http/1.1"])
    return context


@functools.lru_cache(maxsize=1)
def unverified_context() -> ssl.SSLContext:
    """Return the context that accepts any certificate. Made once, and never changed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class Trust:
    """The default context of one pool, read when it is first needed. Event loop only."""

    def __init__(self) -> None:
        self._reading: asyncio.Future[ssl.SSLContext] | None = None

    async def read(self, req: ClientRequest) -> ssl.SSLContext:
        """Return the context, read by a worker thread once for all who need it.

        Raises:
            ClientConnectorSSLError: an environment variable names something unusable.
        """
        if self._reading is None:
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(None, default_context)
        reading = self._reading
        # Not awaited itself: one exchange that is cancelled must not cancel it for the others.
        await asyncio.wait([reading])
        try:
            return reading.result()
        except OSError as exc:
            self._reading = None
            raise aiohttp.ClientConnectorSSLError(req.connection_key, exc) from exc

    def context(self) -> ssl.SSLContext | None:
        """Return the context if it has been read."""
        return None if self._reading is None else self._reading.result()


def _unusable(message: str) -> ssl.SSLError:
    # Two arguments: aiohttp shows the second one, as the reason a connection failed.
    return ssl.SSLError(ssl.SSL_ERROR_SSL, message)
