"""A certificate for 127.0.0.1 by an authority that nobody trusts who was not given it."""

from __future__ import annotations

import ssl

import trustme


def secured() -> tuple[ssl.SSLContext, str]:
    """Return a server's context, and the authority's certificate as PEM."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, authority.cert_pem.bytes().decode()
