"""A pytest plugin: the library under test has our clients and transports in place of its own.

``DOOR`` names the library, httpx or httpx2. ``DOOR_RECORD`` names a file: then the library is left
as it is, and the names of the tests that fail are written there. Those are not ours to pass, and
``DOOR_LEAVE_OUT`` leaves them out when the tests run on our transports.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

#: What of a test's name -> why it is left out on our transports.
SKIPPED = {
    **dict.fromkeys(
        (
            "test_proxies.py::test_proxies_parameter",
            "test_proxies.py::test_socks_proxy",
            "test_proxies.py::test_transport_for_request",
            "test_proxies.py::test_proxies_environ",
            "test_proxies.py::test_proxy_with_mounts",
            "test_proxies.py::test_for_deprecated_proxy_params",
        ),
        "looks into the pool of httpcore",
    ),
    **dict.fromkeys(
        (
            "test_client.py::test_get",
            "test_client.py::test_server_extensions",
            "test_async_client.py::test_get",
            "test_async_client.py::test_server_extensions",
        ),
        "asks for HTTP/2, which is not spoken here",
    ),
    "test_timeouts.py::test_pool_timeout": "a small response holds no connection: its body is here",
    "test_api.py::test_httpcore_lazy_loading": "no httpcore is loaded at all",
}

_NAME = os.environ["DOOR"]
_RECORD = os.environ.get("DOOR_RECORD")
_LEAVE_OUT = os.environ.get("DOOR_LEAVE_OUT")
_CLASSES = {
    "Client": "Client",
    "AsyncClient": "AsyncClient",
    "HTTPTransport": "Transport",
    "AsyncHTTPTransport": "AsyncTransport",
}

_failed: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Put our classes in place, before any test is imported."""
    if _RECORD is not None:
        return
    library = importlib.import_module(_NAME)
    door = importlib.import_module(f"syncclient.{_NAME}")
    for name, ours in _CLASSES.items():
        setattr(library, name, getattr(door, ours))
    # httpx.get() and its siblings make a client of their own.
    importlib.import_module(f"{_NAME}._api").Client = door.Client  # type: ignore[attr-defined]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot pass, with the reason."""
    if _RECORD is not None:
        return
    left_out: set[str] = set()
    if _LEAVE_OUT is not None:
        left_out = set(Path(_LEAVE_OUT).read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.nodeid in left_out:
            item.add_marker(pytest.mark.skip(reason=f"fails on {_NAME}'s own transport as well"))
        for part, reason in SKIPPED.items():
            if item.nodeid.partition("[")[0].endswith(part):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what fails."""
    if report.failed and report.nodeid not in _failed:
        _failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write the names of what failed."""
    if _RECORD is not None:
        Path(_RECORD).write_text("\n".join(_failed), encoding="utf-8")
