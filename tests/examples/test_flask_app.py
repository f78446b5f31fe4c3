"""docs/examples/flask_app.py under gunicorn, with the settings of gunicorn_conf.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncclient import Session
from tests.servers.process import ROOT
from tests.workers.program import running

pytest.importorskip("flask", reason="Flask does not run here")
pytest.importorskip("gunicorn", reason="gunicorn does not run here")

pytestmark = pytest.mark.slow

SETTINGS = ROOT / "docs" / "examples" / "gunicorn_conf.py"


@pytest.fixture(scope="module")
def site(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the application, which must end quietly when it is told to."""
    home = str(tmp_path_factory.mktemp("home"))  # gunicorn puts a control socket there
    env = {
        "UPSTREAM": upstream,
        "BIND": "127.0.0.1:0",
        "HOME": home,
        "XDG_RUNTIME_DIR": home,
    }
    with running("-m", "gunicorn", "-c", str(SETTINGS), "flask_app:app", env=env) as server:
        url = server.wait_for(r"Listening at: (http://127.0.0.1:\d+)")[1]
        server.wait_for(r"Booting worker", count=2)
        yield url
        output = server.end()
        assert server.process.returncode == 0, output
        assert not any(word in output for word in ("Traceback", "[ERROR]", "SIGKILL")), output


def test_every_worker_answers(browser: Session) -> None:
    """The session that was made before the fork serves in both workers."""
    workers: set[int] = set()
    for _ in range(200):  # the system decides which worker takes a connection
        person = browser.get("people/1", headers={"Connection": "close"}).json()
        assert person["name"] == "Ada"
        workers.add(person["worker"])
        if len(workers) == 2:
            break
    assert len(workers) == 2
    with browser.get("people/9") as missing:
        assert missing.status == 404


def test_many_at_once(browser: Session) -> None:
    """The dashboard is made of several answers."""
    assert browser.get("dashboard").json() == {"people": 3, "items": [{"id": 1}, {"id": 2}]}


def test_an_upload_handed_on(browser: Session) -> None:
    """What is uploaded goes on line by line, and arrives whole, without a length known before."""
    response = browser.post("import", data=b"a line\n" * 10_000)
    assert response.status == 201
    assert (response.json()["size"], response.json()["length"]) == (70_000, None)


def test_a_file_handed_on(browser: Session) -> None:
    """The file arrives whole; one that is not read to its end does no harm to the next request."""
    assert len(browser.get("export").read()) == 1_000_000
    browser.get("export").close()
    assert browser.get("people/1").json()["name"] == "Ada"


def test_an_api_that_is_slow(browser: Session) -> None:
    """A timeout is a 504, and not a traceback."""
    response = browser.get("slow")
    assert (response.status, response.json()) == (504, {"error": "the API took too long"})
