"""Which headers and query parameters have secrets as their values, by their names."""

from __future__ import annotations

import re

from ..._models import SECRET_HEADERS

#: A word of a name: of X-Api-Key, api_key or apiKey.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")

#: A name with one of these words in it has a secret as its value.
_SECRET_WORDS = frozenset(
    {
        *("auth", "authorization", "code", "cookie", "credential", "credentials", "jwt", "key"),
        *("passphrase", "password", "passwd", "pwd", "secret", "session", "sid", "sig"),
        *("signature", "token"),
    }
)

#: Written as one word: apikey, accesstoken.
_SECRET_ENDINGS = ("key", "password", "secret", "signature", "token")


def is_secret(name: str) -> bool:
    """Return whether the name speaks of a key, a token, a password or the like."""
    lower = name.lower()
    return (
        lower in SECRET_HEADERS
        or lower.endswith(_SECRET_ENDINGS)
        or not _SECRET_WORDS.isdisjoint(word.lower() for word in _WORD.findall(name))
    )
