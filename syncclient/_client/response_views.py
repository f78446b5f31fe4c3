"""What a response shows of itself: as a command of curl's, and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .curl import curl_of_response
from .notebook import response_html

if TYPE_CHECKING:
    from .._models import Attempt, Head, Timings


class ResponseViews:
    """The part of a response that shows it. Any thread; nothing blocks, nor reads the body."""

    #: The body of the request as the engine got it, if it was bytes; see ``Outgoing.kept``.
    _sent: object = None

    if TYPE_CHECKING:
        _head: Head

        @property
        def timings(self) -> Timings | None: ...

        @property
        def attempts(self) -> tuple[Attempt, ...]: ...

    def as_curl(self, *, secrets: bool = False) -> str:
        """Return the command of curl's for the request that got this response.

        After redirects it is that of the last one. It is for a POSIX shell. The body is in it if
        it was bytes, text, JSON or a form, of 64 KiB at most; otherwise ``@BODY`` stands
        there, for you to fill in.

        Args:
            secrets: whether passwords, tokens, cookies and the like are in it; ``[redacted]``
                stands in their place by default.
        """
        return curl_of_response(self._head, self._sent, secrets=secrets)

    def _repr_html_(self) -> str:
        return response_html(self._head, self.timings, self.attempts)
