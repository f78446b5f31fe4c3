"""Shared by the tests of transports."""

import syncclient


def status(response: syncclient.Response) -> int:
    """Read the response to its end, so that its connection is free again; returns its status."""
    with response:
        response.read()
        return response.status
