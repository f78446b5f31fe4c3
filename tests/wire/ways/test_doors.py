"""The doors for other libraries' code go the lean way."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from syncclient import Session
from syncclient._async.exchange.lean_plan import WAY
from syncclient._async.session import AsyncSession
from syncclient.requests._engines import engine_for, settings_of
from tests.servers.process import AppServer

pytestmark = pytest.mark.skipif(WAY != "lean", reason="all goes the full way")


async def _served(resident: AsyncSession) -> int:
    return resident.lean.served


def served_by(session: Session) -> int:
    """How many hops of ``session`` went the lean way."""
    place = session._place
    return place.portal.call(place.here(_served))


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
@pytest.mark.parametrize("shared", [False, True], ids=["session of its own", "user's session"])
def test_httpx(name: str, shared: bool, session: Session, app: AppServer) -> None:
    """A transport's requests with and without a body, octets in the head and a second header."""
    pytest.importorskip(name)
    door: Any = pytest.importorskip(f"syncclient.{name}")
    with door.Client(**({"session": session} if shared else {})) as client:
        way = client._transport._way.session
        asked: list[Callable[[], Any]] = [
            lambda: client.get(f"{app.url}/get", headers=[("X-A", "1"), ("x-a", "2")]),
            lambda: client.get(f"{app.url}/get", headers={b"X-A": b"\xe9"}),
            lambda: client.get(f"{app.url}/get?a=%7e", cookies={"a": "1"}),
            lambda: client.post(f"{app.url}/post", json={"a": 1}),
            lambda: client.post(f"{app.url}/post", data={"a": "1"}),
        ]
        for done, ask in enumerate(asked, 1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # cookies= of theirs
                assert ask().status_code == 200
            assert served_by(way) == done


def test_requests(app: AppServer) -> None:
    """A session's requests with and without a body, with cookies and credentials."""
    requests: Any = pytest.importorskip("syncclient.requests")
    with requests.Session() as client:
        adapter = client.get_adapter(app.url)
        settings = settings_of(dict(adapter.poolmanager.connection_pool_kw), adapter.connector)
        assert settings is not None
        before = served_by(engine_for(settings))
        client.get(f"{app.url}/get", headers={"X-A": "1"}, auth=("a", "b")).raise_for_status()
        client.get(f"{app.url}/get", cookies={"a": "1"}).raise_for_status()
        client.post(f"{app.url}/post", json={"a": 1}).raise_for_status()
        client.put(f"{app.url}/put", data=b"x").raise_for_status()
        assert served_by(engine_for(settings)) == before + 4
