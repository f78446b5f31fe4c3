"""What several tests of connections start from."""

import socket

import pytest


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
