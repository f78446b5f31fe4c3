"""docs/migration/to-async.md: every step answers alike, on the real frameworks."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
import uvicorn

import syncclient

DOCS = Path(__file__).parents[2] / "docs"
STEPS = DOCS / "examples" / "to_async"
PAGE = DOCS / "migration" / "to-async.md"

WITHIN = 20.0

#: Method, path and JSON of a request -> status and JSON of the answer, None where that is no JSON.
CONVERSATION: dict[tuple[str, str, Any], tuple[int, Any]] = {
    ("GET", "/people/1", None): (200, {"id": 1, "name": "Ada", "city": "London"}),
    ("GET", "/people/9", None): (404, None),
    ("GET", "/badges?ids=3,1,2", None): (200, ["Edsger", "Ada", "Grace"]),
    ("POST", "/people", '{"name": "Alan"}'): (201, {"id": 4, "name": "Alan"}),
}

Ask = Callable[[str, str, Any], tuple[int, Any]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The server of the examples, as a process of its own."""
    command = [sys.executable, str(DOCS / "examples" / "server.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip() + "/"
        finally:
            process.terminate()


def step(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, STEPS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_flask(app: Any) -> Ask:
    def ask(method: str, path: str, body: Any) -> tuple[int, Any]:
        content_type = None if body is None else "application/json"
        response = app.test_client().open(path, method=method, data=body, content_type=content_type)
        return response.status_code, response.get_json(silent=True)

    return ask


@contextmanager
def serving(app: Any) -> Iterator[Ask]:
    """Run an ASGI application by uvicorn, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, loop="asyncio", log_level="warning"))
    started = threading.Event()
    startup = server.startup

    async def note(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = note  # type: ignore[method-assign]  # it has no event of its own for this
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(WITHIN)
        port = server.servers[0].sockets[0].getsockname()[1]
        with syncclient.Session(f"http://127.0.0.1:{port}/") as session:

            def ask(method: str, path: str, body: Any) -> tuple[int, Any]:
                headers = {"Content-Type": "application/json"}
                with session.request(method, path, data=body, headers=headers) as response:
                    content = response.json() if "json" in response.content_type else None
                    return response.status, content

            yield ask
    finally:
        server.should_exit = True
        thread.join(WITHIN)


def held(ask: Ask) -> dict[tuple[str, str, Any], tuple[int, Any]]:
    return {each: ask(*each) for each in CONVERSATION}


def test_step_1_requests(upstream: str) -> None:
    """The application as it was answers the way the others have to."""
    pytest.importorskip("requests")
    assert held(by_flask(step("step1_requests").create_app(upstream))) == CONVERSATION


@pytest.mark.parametrize("name", ["step2_syncclient", "step3_async_views"])
def test_steps_on_flask(upstream: str, name: str) -> None:
    """The replies stay the same with syncclient, and with views that await in new loops."""
    app = step(name).create_app(upstream)
    with app.extensions["syncclient"]:
        for _ in range(3):
            assert held(by_flask(app)) == CONVERSATION


def open_aiohttp(upstream: str) -> aiohttp.ClientSession:
    # Not aiodns, which is installed: its thread goes on for a while.
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    return aiohttp.ClientSession(upstream, connector=connector)


@pytest.mark.parametrize("client", ["session.aio", "aiohttp"])
def test_step_4_on_starlette(upstream: str, client: str) -> None:
    """Asynchronous throughout it answers alike; and with aiohttp itself in the session's place."""
    create_app = step("step4_starlette").create_app
    options = {"open_client": open_aiohttp} if client == "aiohttp" else {}
    app = create_app(upstream, **options)
    with serving(app) as ask:
        assert held(ask) == CONVERSATION


def test_the_page_shows_every_step() -> None:
    """No step is missing from the page, and the page names none that is not there."""
    page = PAGE.read_text(encoding="utf-8")
    shown = [line.rpartition("/")[2] for line in page.splitlines() if "{literalinclude}" in line]
    assert shown == sorted(path.name for path in STEPS.glob("*.py"))
