"""What others put in the place of aiohttp's session answers, on both ways of a request."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

import syncclient
from syncclient import Session
from tests.servers.process import AppServer


def test_a_mock_of_the_engines_session_answers(
    session: Session, app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a session that has made requests before; and no longer once it is taken back."""
    original = aiohttp.ClientSession._request
    asked = []

    async def mocked(self: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> Any:
        asked.append(str(url))
        return await original(self, method, url, **options)

    session.get("/get")
    with monkeypatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "_request", mocked)
        assert session.get("/get").status == 200
        assert syncclient.get(f"{app.url}/get").status == 200
    session.get("/get")
    assert asked == [f"{app.url}/get"] * 2


def test_tracing_that_instrumentation_adds_is_called(
    app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry and Sentry give each of aiohttp's sessions a TraceConfig of theirs."""
    started = []
    config = aiohttp.TraceConfig()

    async def on_request_start(*_: Any) -> None:
        started.append(True)

    config.on_request_start.append(on_request_start)
    original = aiohttp.ClientSession.__init__

    def instrumented(self: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        options["trace_configs"] = [*(options.get("trace_configs") or ()), config]
        original(self, *args, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", instrumented)
    with Session() as session:
        assert session.get(f"{app.url}/get").status == 200
    assert started
