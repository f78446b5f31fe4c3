"""``--offline`` and ``--curl``: the request as it would be sent, without sending it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from .. import URL, CIMultiDict
from .._client.curl import CurlBody, body_of, curl_command
from .._client.redaction import HIDDEN, is_secret
from .._client.transports import split_unix_url
from .._models import redacted_url
from ..testing import MockRequest, MockTransport
from .exchanges import Exchanges
from .items import Body
from .options import Access, open_session
from .output import is_binary
from .show import Show, show_request
from .stdin import STDIN
from .terminal import printable, write


def show_offline(
    method: str, url: str, options: dict[str, Any], body: Body, access: Access, how: Show
) -> None:
    """Show a request after it has passed through the whole engine, to a server in this process."""
    received: list[MockRequest] = []

    def answer(request: MockRequest) -> int:
        received.append(request)
        return 204

    log = Exchanges()
    with open_session(
        # There is no other way to the server in this process.
        replace(access, proxy=None, env=False),
        url,
        middlewares=[log],
        connector=MockTransport(answer),
        keep=False,
    ) as session:
        session.request(method, url, allow_redirects=False, **options).release()
    (exchange,) = log
    data = received[0].body
    if not how.show_secrets and body.plain not in (None, body.shown):
        show_request(exchange, body, how)
    elif how.touched and not is_binary(data):
        text = data.decode(errors="replace")
        show_request(exchange, body._replace(shown=text, plain=text), how)
    elif how.touched:
        told = f"(binary data, {len(data):,} bytes)"
        show_request(exchange, body._replace(shown=told, plain=told), how)
    else:
        show_request(exchange, Body({}), how)
        if "B" in how.parts:
            write(data)


def show_curl(
    method: str,
    url: str,
    options: dict[str, Any],
    body: Body,
    access: Access,
    how: Show,
    *,
    max_redirects: int | None,
) -> None:
    """Print the curl command for a request; ``max_redirects`` is None if none are followed."""
    secrets = how.show_secrets
    over = split_unix_url(url)
    unix_socket, target = (None, URL(url)) if over is None else over
    headers = CIMultiDict[str](options["headers"])
    more = _ways(access, secrets=secrets)
    for name in options["skip_auto_headers"]:
        more += ["-H", f"{name}:"]
    if max_redirects is not None:
        more += ["-L", "--max-redirs", str(max_redirects)]
    told = curl_command(
        method,
        target.extend_query(options["params"]).with_fragment(None),
        headers.items(),
        _curl_body(body, headers, secrets=secrets),
        unix_socket=unix_socket,
        options=more,
        secrets=secrets,
    )
    click.echo(printable(told))


def _curl_body(body: Body, headers: CIMultiDict[str], *, secrets: bool) -> CurlBody:
    if body.parts:
        words: list[str] = []
        for name, value in body.parts:
            # -F takes values that begin with @ or < for files.
            option = "-F" if value.startswith("@") else "--form-string"
            hidden = option != "-F" and is_secret(name) and not secrets
            words += [option, f"{name}={HIDDEN if hidden else value}"]
        return CurlBody(words, multipart=True)
    if body.path is not None:
        return CurlBody(["--data-binary", f"@{body.path}"])
    if body.shown == STDIN:
        return CurlBody(["--data-binary", "@-"])
    return body_of(body.options.get("data"), None, headers, secrets=secrets)


def _ways(access: Access, *, secrets: bool) -> list[str]:
    """Return curl's options for ``access``."""
    words: list[str] = []
    if access.auth is not None:
        shown = access.auth if secrets else f"{access.auth.partition(':')[0]}:{HIDDEN}"
        if access.auth_type == "bearer":
            words += ["--oauth2-bearer", access.auth if secrets else HIDDEN]
        else:
            words += [*(["--digest"] if access.auth_type == "digest" else []), "-u", shown]
    if access.timeout:
        words += ["-m", f"{access.timeout:g}"]
    verify = access.verify.lower()
    if verify in ("no", "false"):
        words.append("-k")
    elif verify not in ("yes", "true"):
        kind = "--capath" if os.path.isdir(access.verify) else "--cacert"
        words += [kind, access.verify]
    for option, path in (("--cert", access.cert), ("--key", access.cert_key)):
        words += [] if path is None else [option, path]
    if access.tls is not None:
        version = access.tls.removeprefix("tls")
        words += [f"--tlsv{version if '.' in version else version + '.0'}", "--tls-max"]
        words.append(version if "." in version else f"{version}.0")
    words += [] if access.ciphers is None else ["--ciphers", access.ciphers]
    if access.proxy is not None:
        words += ["-x", access.proxy if secrets else redacted_url(access.proxy)]
    if not access.env:
        words += ["--noproxy", "*"]
    if access.session_file is not None and access.session_file.endswith(".txt"):
        words += ["-b", access.session_file, "-c", access.session_file]
    return words
