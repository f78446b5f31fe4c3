"""TLS as requests has it: ``verify`` and ``cert`` of a request, and a pool's own context."""

from __future__ import annotations

import os
import ssl
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context

#: The contexts made so far. Keyed by what the files were when they were read: a certificate that
#: has been renewed is read again.
_contexts: dict[tuple[Any, ...], ssl.SSLContext] = {}

#: How many of them are kept.
_KEPT = 64


def context_for(
    bundle: str | None,
    cert: str | tuple[str, str] | None,
    own: ssl.SSLContext | None,
) -> ssl.SSLContext:
    """Return the context to connect with; the same object for the same arguments.

    Args:
        bundle: the file or folder of the authorities to trust; None verifies nothing.
        cert: the client's certificate: a file, or a pair of it and its key.
        own: the context that the pool was given, which is configured as urllib3 would.

    Raises:
        OSError: A file is missing; ssl.SSLError, one of them, if it holds nothing of use.
    """
    files = () if cert is None else (cert,) if isinstance(cert, str) else cert
    key = (own, *map(_stamp, (bundle, *files) if bundle is not None else (None, *files)))
    context = _contexts.get(key)
    if context is None:
        context = _made(bundle, files, own)
        while len(_contexts) >= _KEPT:
            _contexts.pop(next(iter(_contexts)), None)
        # Another thread may have been quicker: pools are told apart by the context.
        context = _contexts.setdefault(key, context)
    return context


def _stamp(path: str | None) -> tuple[str, int, int] | None:
    if path is None:
        return None
    stat = os.stat(path)
    return path, stat.st_mtime_ns, stat.st_size


def _made(bundle: str | None, files: tuple[str, ...], own: ssl.SSLContext | None) -> ssl.SSLContext:
    context = own or create_urllib3_context()
    if bundle is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    if files:
        context.load_cert_chain(*files)
    context.set_alpn_protocols(["http/1.1"])
    return context
