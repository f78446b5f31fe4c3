"""URLs as people type them: without a scheme, or only with a port."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: A scheme without its slashes, not a host with a port: to be refused.
_MISSPELT = re.compile(r"(?:https?|wss?)(?:\+unix)?:(?!\d+(?:[/?#]|$))", re.IGNORECASE)
#: This machine, which is not expected to have a certificate.
_LOOPBACK = re.compile(
    r"(?:[^/?#@]*@)?(?:localhost|127(?:\.\d+){3}|\[::1\]|0\.0\.0\.0)(?:[:/?#]|$)", re.IGNORECASE
)


def full_url(text: str) -> str:
    """Return the full URL for ``text``.

    Without a scheme, ``http://`` is used for this machine (localhost, 127.x.x.x, [::1]), and
    ``https://`` for all others; ``:8080/path`` is a port of this machine.
    """
    if _SCHEME.match(text) or _MISSPELT.match(text):
        return text
    if text.startswith(":") and not text.startswith("::"):
        port = re.match(r":(\d*)", text)
        assert port is not None
        return f"http://localhost{text if port[1] else text[1:]}"
    text = text.removeprefix("//")
    return f"{'http' if _LOOPBACK.match(text) else 'https'}://{text}"
