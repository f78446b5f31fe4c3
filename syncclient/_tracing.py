"""What plain functions among the callbacks of a TraceConfig see of a session."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from ._async.tracing import Views
from ._response import released_response

if TYPE_CHECKING:
    from ._settings import Settings


def views_of(session: Settings) -> Views:
    """Return what plain callbacks get: ``session`` itself, and responses without their bodies.

    The session is referred to weakly, for it is closed by its finaliser: callbacks of what is
    cut short by that get None.
    """
    return Views(
        weakref.ref(session),
        partial(released_response, resolve_charset=session._charset_resolver),
    )
