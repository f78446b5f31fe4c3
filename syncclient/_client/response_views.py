"""Views of a response: as a curl command, and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .curl import curl_of_response
from .notebook import response_html

if TYPE_CHECKING:
    from .._models import Attempt, Head, Timings


class ResponseViews:
    """Views of a response. Any thread; nothing here blocks or reads the body."""

    #: The body of the request as passed to the engine, if it was bytes; see ``Outgoing.kept``.
    _sent: object = None

    if TYPE_CHECKING:
        _head: Head

        @property
        def timings(self) -> Timings | None: ...

        @property
        def attempts(self) -> tuple[Attempt, ...]: ...

    def as_curl(self, *, secrets: bool = False) -> str:
        """Return the curl command for the request of this response, for a POSIX shell.

        After redirects, this is the last request. It includes the body if that was bytes, text,
        JSON or a form, of 64 KiB at most; otherwise it has ``@BODY`` instead, for you to fill
        in.

        Args:
            secrets: whether to include passwords, tokens, cookies and similar; by default they
                are replaced by ``[redacted]``.
        """
        return curl_of_response(self._head, self._sent, secrets=secrets)

    def _repr_html_(self) -> str:
        return response_html(self._head, self.timings, self.attempts)
