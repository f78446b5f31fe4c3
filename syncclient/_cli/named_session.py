"""``--session NAME``: headers, credentials and cookies of one server, kept for later requests.

A folder for each host and name contains ``cookies.json``, which a jar writes, and ``kept.json``.
Both are secret, and private to the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from .. import URL
from .._client.cookie_files import make_private

#: Anything else is the path of a file.
_NAME = re.compile(r"[\w-]+")
_ODD = re.compile(r"[^\w.-]|^\.")
#: Headers that belong to one request.
_OF_ONE = re.compile(
    r"content-|if-|cookie$|range$|transfer-encoding$|authorization$", re.IGNORECASE
)


def is_name(text: str) -> bool:
    """Return whether ``text`` names a session, and not a file of cookies."""
    return _NAME.fullmatch(text) is not None


@dataclass
class NamedSession:
    """The part of a session other than its cookies."""

    folder: Path
    headers: dict[str, str] = field(default_factory=dict)
    auth: str | None = None
    auth_type: str | None = None

    @classmethod
    def load(cls, name: str, url: str) -> NamedSession:
        """Return the session with this name for the host of ``url``; an empty one if it is new.

        Raises:
            click.UsageError: its file is malformed.
        """
        parsed = URL(url)
        host = _ODD.sub("_", f"{parsed.host or 'localhost'}_{parsed.port or 0}")
        folder = Path(click.get_app_dir("syncclient"), "sessions", host, name)
        session = cls(folder)
        try:
            kept = json.loads(session._file.read_bytes())
            session.headers = {str(name): str(value) for name, value in kept["headers"].items()}
            session.auth, session.auth_type = kept["auth"], kept["auth_type"]
        except FileNotFoundError:
            pass
        except (ValueError, LookupError, TypeError, AttributeError):
            raise click.UsageError(f"--session: {session._file} is broken: remove it") from None
        return session

    @property
    def cookies(self) -> Path:
        """The file of the jar."""
        return self.folder / "cookies.json"

    @property
    def _file(self) -> Path:
        return self.folder / "kept.json"

    def keep(self, headers: Mapping[str, str], auth: str | None, auth_type: str) -> None:
        """Add the settings of this request, and save them."""
        typed = {name: value for name, value in headers.items() if not _OF_ONE.match(name)}
        taken = {name.lower() for name in typed}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in taken}
        self.headers = {**kept, **typed}
        if auth is not None:
            self.auth, self.auth_type = auth, auth_type
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(str(self._file))
        document = {"headers": self.headers, "auth": self.auth, "auth_type": self.auth_type}
        self._file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
