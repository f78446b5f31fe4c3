"""docs/examples/django_project.py, served by Django's own server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncclient import Session
from tests.servers.process import ROOT
from tests.workers.program import running

pytest.importorskip("django", reason="Django does not run here")

pytestmark = pytest.mark.slow

PROJECT = ROOT / "docs" / "examples" / "django_project.py"


@contextmanager
def serving(upstream: str) -> Iterator[str]:
    """Run the project until the block ends; gives its URL."""
    command = ("-W", "error", str(PROJECT), "runserver", "--noreload", "127.0.0.1:0")
    env = {"UPSTREAM": upstream, "DJANGO_SETTINGS_MODULE": ""}
    with running(*command, env=env) as server:
        url = server.wait_for(r"server at (http://\S+/)")[1]
        yield url
        output = server.end()
        assert "Traceback" not in output, output


@pytest.fixture(scope="module")
def site(upstream: str) -> Iterator[str]:
    with serving(upstream) as url:
        yield url


def test_a_view(browser: Session) -> None:
    """The view hands on what the API says, and its 404 as a 404."""
    assert browser.get("people/1").json() == {"id": 1, "name": "Ada", "city": "London"}
    missing = browser.get("people/9")
    assert (missing.status, missing.json()) == (404, {"error": "there is no such person"})


def test_many_at_once(browser: Session) -> None:
    """The dashboard is made of several answers."""
    assert browser.get("dashboard").json() == {"people": 3, "items": [{"id": 1}, {"id": 2}]}


def test_an_asynchronous_view(browser: Session) -> None:
    """An asynchronous view awaits the session on which the other views block."""
    assert browser.get("both").json() == {"names": ["Ada", "Grace"]}


def test_a_file_handed_on(browser: Session) -> None:
    """The file arrives whole; one that is not read to its end does no harm to the next request."""
    with browser.get("export") as response:
        assert response.content_length == 1_000_000
        assert response.content_disposition is not None
        assert response.content_disposition.filename == "export.bin"
        assert len(response.read()) == 1_000_000
    browser.get("export").close()
    assert browser.get("people/1").json()["name"] == "Ada"


def test_an_api_that_is_slow(browser: Session) -> None:
    """A timeout is a 504, and not a traceback."""
    response = browser.get("slow")
    assert (response.status, response.json()) == (504, {"error": "the API took too long"})


def test_an_api_that_is_down() -> None:
    """No connection is a 502."""
    with serving("http://127.0.0.1:1/") as url, Session(url) as browser:
        response = browser.get("people/1")
        assert (response.status, response.json()) == (502, {"error": "the API is out of order"})
