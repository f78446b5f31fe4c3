"""A submitted request, from its arguments to the Response in its future."""

from __future__ import annotations

from ._async.exchange import Exchange
from ._async.session import AsyncSession
from ._call import in_caller
from ._future import CallFuture
from ._lease import Remote
from ._models import Reply
from ._payload import NO_BODY
from ._portal import Portal
from ._request import Prepared
from ._response import CharsetResolver, Response, check_status
from ._unclosed import call_site


class Submitted:
    """One submitted request: what becomes of its body, and of its response."""

    def __init__(self, prepared: Prepared, resolve_charset: CharsetResolver) -> None:
        # No longer than it is of use: the future, which may be kept, has this.
        self._body = prepared.body if prepared.body.lends else NO_BODY
        self._rule = prepared.raise_for_status
        self._resolve_charset = resolve_charset
        self._submitted_at = call_site()

    @property
    def lends(self) -> bool:
        """Whether the body has something of the caller's in it."""
        return self._body.lends

    async def finish(self, reply: Reply, remote: Remote[Exchange] | None) -> Response:
        """Return the Response, once its status has been looked at."""
        response = Response(reply, remote, self._resolve_charset, self._submitted_at)
        if isinstance(self._rule, bool):
            check_status(response, self._rule)
        else:
            await in_caller(check_status, response, self._rule)  # a function of the user's
        return response

    def give_back(self, error: BaseException | None) -> None:
        """Give the body back."""
        body, self._body = self._body, NO_BODY
        body.end(error)

    def discard(self, result: Response) -> None:
        """Close the response, since nobody has it."""
        result.close()


def submit(
    portal: Portal[AsyncSession],
    prepared: Prepared,
    resolve_charset: CharsetResolver,
    *,
    stream: bool,
) -> CallFuture[Response]:
    """Send a request without waiting; see ``Session.submit``."""
    submitted = Submitted(prepared, resolve_charset)
    prepared.body.begin()
    try:
        return portal.submit(_ask, submitted.finish, submitted, prepared, stream)
    except BaseException as exc:
        prepared.body.end(exc)
        raise


async def _ask(
    session: AsyncSession, prepared: Prepared, stream: bool
) -> tuple[Reply, Exchange | None]:
    if stream:
        return await session.request(*prepared.crossing)
    return await session.fetch(*prepared.crossing), None
