"""mock() and mount(), which put a server in the place of the network, and the fixture."""

import threading
from pathlib import Path

import pytest

import syncclient
from syncclient._async.connect.pool import stand_ins
from syncclient.testing import MockTransport, Routes, UnmatchedRequestError, mock, mount
from tests.children import RunChild
from tests.servers.process import ROOT, AppServer

API = "http://api.test"


def test_mock_answers_the_one_shot_functions() -> None:
    """Inside mock(), syncclient.get() and its siblings are answered by the routes."""
    with mock({"GET /x": {"a": 1}}) as routes:
        routes.post(f"{API}/y", status=201)
        assert syncclient.get(f"{API}/x").json() == {"a": 1}
        assert syncclient.post(f"{API}/y").status == 201
    routes.assert_all_called()
    assert stand_ins == []


def test_mock_reaches_sessions_that_exist(app: AppServer) -> None:
    """A session with open connections is answered by the mock, and afterwards by its server."""
    with syncclient.Session(app.url) as session:
        assert session.get("status/204").status == 204
        for n in range(2):
            with mock({"GET /status/204": f"mocked {n}"}) as routes:
                assert session.get("status/204").text() == f"mocked {n}"
                assert session.get(f"{API}/status/204").text() == f"mocked {n}"
            assert len(routes.calls) == 2
            assert session.get("status/204").status == 204


def test_mock_reaches_every_thread_and_every_way(tmp_path: Path) -> None:
    """Other threads, Unix sockets and SOCKS proxies are no way round the mock."""
    path = str(tmp_path / "none.sock").replace("/", "%2F")
    with mock() as routes:
        routes.add("*", "/x", "mocked")
        got: list[str] = []
        thread = threading.Thread(target=lambda: got.append(syncclient.get(f"{API}/x").text()))
        thread.start()
        thread.join(10)
        assert got == ["mocked"]
        with syncclient.Session() as session:
            assert session.get(f"http+unix://{path}/x").text() == "mocked"
            assert session.get(f"{API}/x", proxy="http://127.0.0.1:9").text() == "mocked"
            assert session.get(f"{API}/x", proxy="socks5://127.0.0.1:9").text() == "mocked"
        connector = syncclient.UnixConnector(tmp_path / "none.sock")
        with syncclient.Session(connector=connector) as session:
            assert session.get(f"{API}/x").text() == "mocked"


def test_blocks_nest_and_a_session_of_its_own_transport_keeps_it() -> None:
    """The innermost block answers; a session made with a mock transport is left alone."""
    own = MockTransport(Routes({"GET /x": "own"}))
    with mock({"GET /x": "outer"}), syncclient.Session(connector=own) as session:
        with mount(MockTransport(lambda request: "inner")):
            assert syncclient.get(f"{API}/x").text() == "inner"
            assert session.get(f"{API}/x").text() == "own"
        assert syncclient.get(f"{API}/x").text() == "outer"


def test_a_mocked_failure_is_one_request() -> None:
    """aiohttp's silent second attempt is off: what a test sees is what the code under test did."""
    with syncclient.Session() as session, mock() as routes:
        routes.get("/x", ConnectionResetError(104, "mine"))
        with pytest.raises(syncclient.ClientOSError):
            session.get(f"{API}/x")
        assert len(routes.calls) == 1


def test_the_hook_is_taken_back_after_an_error() -> None:
    """A block that ends in an error leaves nothing behind."""
    with pytest.raises(ZeroDivisionError), mock():
        raise ZeroDivisionError
    assert stand_ins == []


def test_what_is_no_transport_is_refused() -> None:
    """mount() takes the transports of this module, and says so."""
    with pytest.raises(TypeError, match="transport must be a MockTransport"):
        with mount(syncclient.TCPConnector()):  # type: ignore[arg-type]  # wrong
            pass


# The fixture for pytest, in a run of its own.

TESTS = """
import pytest, syncclient

def call():
    return syncclient.get("http://api.test/x").text()

def test_answers(syncclient_mock):
    route = syncclient_mock.get("/x", text="mocked")
    assert call() == "mocked"
    route.assert_called(1)

def test_swallows(syncclient_mock):
    with pytest.raises(AssertionError):
        call()
"""


def run_pytest(run_child: RunChild, folder: Path, code: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(code)
    script = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    # By name and without any others: what else is installed here is not under test.
    options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_syncclient", f"--rootdir={folder}"]
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    child = run_child(script, *options, str(folder / "test_it.py"), flags=(), env=env)
    return child.status, child.stdout


def test_the_fixture(run_child: RunChild, tmp_path: Path) -> None:
    """The fixture answers, and fails a test that swallowed the error of an unmatched request."""
    status, output = run_pytest(run_child, tmp_path, TESTS)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert "2 passed, 1 error" in output
    assert "requests that no route answered: GET http://api.test/x" in output


def test_the_plugin_imports_nothing(run_child: RunChild, tmp_path: Path) -> None:
    """A test run that does not use the fixture does not import syncclient, nor aiohttp."""
    code = (
        "import sys\n\ndef test_modules():\n"
        "    assert not {'syncclient', 'aiohttp'} & set(sys.modules)\n"
        "    assert 'pytest_syncclient' in sys.modules\n"
    )
    status, output = run_pytest(run_child, tmp_path, code)
    assert status == 0, output


def test_pytest_finds_the_plugin() -> None:
    """The plugin is among the entry points that pytest looks at, and is part of the wheel."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nsyncclient = "pytest_syncclient"\n' in project
    assert 'packages = ["syncclient", "pytest_syncclient.py"]' in project


def test_syncclient_itself_imports_no_server(run_child: RunChild) -> None:
    """Importing syncclient costs its users nothing for what only tests need."""
    child = run_child(
        "import sys, syncclient\n"
        "print(sorted({'aiohttp.web', 'syncclient.testing', 'pytest'} & set(sys.modules)))"
    )
    assert (child.status, child.stdout.strip()) == (0, "[]"), child.stderr


def test_unmatched_is_an_assertion() -> None:
    """The error for an unmatched request is no ClientError: code under test must not catch it."""
    assert issubclass(UnmatchedRequestError, AssertionError)
    assert not issubclass(UnmatchedRequestError, (syncclient.ClientError, OSError))
