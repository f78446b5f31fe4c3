"""What of a request and a response is shown, and what is left out for being a secret."""

from __future__ import annotations

from urllib.parse import quote

from .. import URL, RequestLog
from .._models import redacted_text

HIDDEN = "[redacted]"

_LOG = RequestLog()

#: Schemes of the Authorization header that are no secret themselves.
_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm"})


def is_secret(name: str) -> bool:
    """Tell whether a header, a parameter or a field of that name has a secret for its value."""
    return _LOG._is_secret(name)


def shown_url(url: URL, *, secrets: bool) -> URL:
    """Return ``url`` as it may be shown."""
    return url if secrets else URL(_LOG.without_secrets(url))


def shown_header(name: str, value: str, *, secrets: bool) -> str:
    """Return the value of a header as it may be shown: names of cookies stay, values go."""
    if secrets:
        return value
    lower = name.lower()
    if lower in ("authorization", "proxy-authorization"):
        scheme, _, rest = value.partition(" ")
        return f"{scheme} {HIDDEN}" if rest and scheme.lower() in _SCHEMES else HIDDEN
    if lower == "cookie":
        names = [pair.partition("=")[0].strip() for pair in value.split(";") if "=" in pair]
        return "; ".join(f"{name}={HIDDEN}" for name in names) or HIDDEN
    if lower == "set-cookie":
        pair, semicolon, attributes = value.partition(";")
        name, equals, _ = pair.partition("=")
        return f"{name}={HIDDEN}{semicolon}{attributes}" if equals else HIDDEN
    if lower in ("location", "referer", "content-location"):
        try:
            url = URL(value)
        except ValueError:
            return redacted_text(value)
        shown = str(shown_url(url, secrets=False)).replace(quote(HIDDEN), HIDDEN)
        return shown if _has_secrets(url) else value
    return HIDDEN if is_secret(name) and lower not in _NO_SECRETS else value


#: Names with a word like "key" or "auth" in them, and nothing secret.
_NO_SECRETS = frozenset(
    {
        *("www-authenticate", "proxy-authenticate", "authentication-info"),
        *("sec-websocket-key", "sec-websocket-accept", "access-control-allow-credentials"),
    }
)


def _has_secrets(url: URL) -> bool:
    return (
        url.raw_user is not None or url.raw_password is not None or any(map(is_secret, url.query))
    )
