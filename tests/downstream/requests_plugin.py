"""A pytest plugin for requests' own tests: they run on our engine.

With ``DOOR_WAY=mounted`` the sessions of requests get our adapter; otherwise the tests have been
changed in one line, and import requests from syncclient.
"""

import os

import pytest

from syncclient import requests

if os.environ.get("DOOR_WAY") == "mounted":
    requests.install()

_POOLS = "counts the pools of urllib3, which sends nothing here"
_SOCKS = "the name is looked up before the SOCKS proxy is called, and does not exist offline"
_TARPIT = "needs a network that drops packets to 10.255.255.1"

#: The name of a test -> why it is left out.
LEFT_OUT = {
    "test_different_connection_pool_for_tls_settings_verify_True": _POOLS,
    "test_different_connection_pool_for_tls_settings_verify_bundle_expired_cert": _POOLS,
    "test_different_connection_pool_for_tls_settings_verify_bundle_unexpired_cert": _POOLS,
    "test_chunked_encoding_error": "a head that breaks off is no response here: ConnectionError",
    "test_use_proxy_from_environment": _SOCKS,
    "test_connect_timeout": _TARPIT,
    "test_total_timeout_connect": _TARPIT,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these, with the reason."""
    for item in items:
        if (why := LEFT_OUT.get(item.name.partition("[")[0])) is not None:
            item.add_marker(pytest.mark.skip(reason=why))
