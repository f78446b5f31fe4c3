"""Redaction: the parts of requests and responses that are left out as secrets."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from yarl import URL

from .._async.middleware.request_log import RequestLog
from .._content_type import content_type as content_type_of
from .._models import redacted_url
from .._urls import url_or_fault

HIDDEN = "[redacted]"

_LOG = RequestLog()

#: Schemes of the Authorization header, which are not secret themselves.
_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm"})


def is_secret(name: str) -> bool:
    """Return whether a header, a parameter or a field with this name contains a secret."""
    return _LOG._is_secret(name)


def without_secrets(document: Any) -> Any:
    """Return a JSON value with the fields redacted whose names suggest a secret."""
    if isinstance(document, dict):
        return {
            name: HIDDEN if is_secret(name) else without_secrets(value)
            for name, value in document.items()
        }
    return [without_secrets(each) for each in document] if isinstance(document, list) else document


def text_without_secrets(text: str, content_type: str) -> str:
    """Return a body with secrets redacted, if it is a form or JSON of any Content-Type."""
    kind = content_type_of(content_type).essence
    if kind == "application/x-www-form-urlencoded":
        fields = parse_qsl(text, keep_blank_values=True)
        if not any(is_secret(name) for name, _ in fields):
            return text
        return urlencode([(n, HIDDEN if is_secret(n) else v) for n, v in fields], safe="[]")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    bare = without_secrets(document)
    return text if bare == document else json.dumps(bare, ensure_ascii=False)


def shown_url(url: URL, *, secrets: bool) -> URL:
    """Return ``url`` as it may be shown."""
    return url if secrets else URL(_LOG.without_secrets(url))


def url_text(url: URL, *, secrets: bool) -> str:
    """Return ``url`` as text for people, which shows that something was left out."""
    return str(shown_url(url, secrets=secrets)).replace(quote(HIDDEN), HIDDEN)


def shown_header(name: str, value: str, *, secrets: bool) -> str:
    """Return the value of a header as it may be shown, with names of cookies but no values."""
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
        url = url_or_fault(URL, value)
        if isinstance(url, str):
            return redacted_url(value)
        return url_text(url, secrets=False) if _has_secrets(url) else value
    return HIDDEN if is_secret(name) and lower not in _NO_SECRETS else value


#: Names that contain a word like "key" or "auth", but are not secret.
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
