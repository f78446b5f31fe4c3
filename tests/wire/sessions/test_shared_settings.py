"""Settings that one thread changes while others make requests: each request has what was there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict

from syncclient import Session
from tests.servers.process import AppServer

pytestmark = pytest.mark.usefixtures("quick_switches")

#: Requests made while the settings change.
REQUESTS = 60


def while_changing(change: Callable[[int], object], work: Callable[[], object]) -> None:
    """Do the work, while another thread changes something all the time."""
    over = threading.Event()

    def keep_changing() -> None:
        number = 0
        while not over.is_set():
            number += 1
            change(number)

    changer = threading.Thread(target=keep_changing)
    changer.start()
    try:
        for _ in range(REQUESTS):
            work()
    finally:
        over.set()
        changer.join()


def renew(mapping: Any) -> Callable[[int], object]:
    """Return what gives ``mapping`` other values, and more or fewer of them."""

    def change(number: int) -> None:
        mapping["Authorization"] = f"Bearer {number}"
        mapping[f"X-{number % 50}"] = "x"
        if number % 50 == 0:
            for old in range(50):
                mapping.pop(f"X-{old}", None)

    return change


@pytest.mark.parametrize("way", ["get", "submit", "map", "with_options"])
def test_headers_of_a_session(app: AppServer, way: str) -> None:
    """A token that is renewed for all breaks no request."""
    with Session(app.url) as session:
        session.headers["Authorization"] = "Bearer 0"
        ways: dict[str, Callable[[], object]] = {
            "get": lambda: session.get("/headers").read(),
            "submit": lambda: session.submit("GET", "/get").result(10),
            "map": lambda: list(session.map(["/get"])),
            "with_options": lambda: session.with_options(headers={"A": "b"}).get("/get").read(),
        }
        while_changing(renew(session.headers), ways[way])


@pytest.mark.parametrize("kind", [dict, MultiDict, CIMultiDict])
@pytest.mark.parametrize("name", ["headers", "params", "data", "cookies"])
def test_arguments_of_a_request(app: AppServer, name: str, kind: type) -> None:
    """Nor does one mapping that threads hand to their requests, and go on filling."""
    shared = kind({"Authorization": "0"})
    with Session(app.url) as session:

        def ask() -> None:
            options: Any = {name: shared}
            session.post("/post", **options).read()

        while_changing(renew(shared), ask)
