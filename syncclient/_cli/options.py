"""Options that several commands share, and the session that they describe."""

from __future__ import annotations

import pickle
import ssl as ssl_module
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import (
    ClientTimeout,
    CookieJar,
    DigestAuthMiddleware,
    Session,
    SocksConnector,
    TCPConnector,
)
from .._async.tls import default_context

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds to connect, and seconds without a byte, unless --timeout says otherwise.
CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 300.0

_SOCKS = ("socks4://", "socks4a://", "socks5://", "socks5h://")

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("-a", "--auth", metavar="USER[:PASSWORD]", help="Credentials; TOKEN for bearer."),
    click.option(
        "--auth-type",
        type=click.Choice(["basic", "digest", "bearer"]),
        default="basic",
        show_default=True,
        help="How they are sent.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="For the whole request. Without it: 30 s to connect, 300 s without a byte.",
    ),
    click.option(
        "--verify",
        metavar="yes|no|PATH",
        default="yes",
        show_default=True,
        help="Whether certificates are verified, or the file or folder of authorities to trust.",
    ),
    click.option("--cert", metavar="PATH", help="Client certificate (PEM), with its key or not."),
    click.option("--cert-key", metavar="PATH", help="The key of --cert."),
    click.option(
        "--proxy", metavar="URL", help="http://, or with syncclient[socks] socks5://, and so on."
    ),
    click.option(
        "--env/--no-env",
        default=True,
        help="Whether proxies and .netrc of the environment are used.  [default: env]",
    ),
    click.option(
        "--session",
        "session_file",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Take cookies from FILE and keep them there; .txt is a cookies.txt as curl's.",
    ),
)


def access_options(command: F) -> F:
    """Add the options of ``Access`` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Access:
    """How to reach servers: what ``access_options`` say."""

    auth: str | None
    auth_type: str
    timeout: float | None
    verify: str
    cert: str | None
    cert_key: str | None
    proxy: str | None
    env: bool
    session_file: str | None

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Access:
        """Take the options of ours out of what click has parsed."""
        return cls(**{name: options.pop(name) for name in cls.__dataclass_fields__})


@contextmanager
def open_session(
    access: Access, *, middlewares: Sequence[Any] = (), limit: int = 100, timings: bool = False
) -> Iterator[Session]:
    """Give the session that ``access`` describes; afterwards the cookies are saved."""
    auth, headers, first = _authentication(access)
    jar = CookieJar(unsafe=True)  # unsafe: cookies of servers without a name, 127.0.0.1 say
    file = None if access.session_file is None else Path(access.session_file).expanduser()
    if file is not None and file.exists():
        _load(jar, file)
    proxy, connector = access.proxy, _connector(access, limit)
    if proxy is not None and proxy.lower().startswith(_SOCKS):
        proxy = None
    with Session(
        connector=connector,
        cookie_jar=jar,
        auth=auth,
        headers=headers,
        proxy=proxy,
        trust_env=access.env,
        timeout=timeout_of(access),
        middlewares=[*first, *middlewares],
        timings=timings,
    ) as session:
        try:
            yield session
        finally:
            if file is not None:
                jar.save(file, format="netscape" if file.suffix == ".txt" else "json")


def timeout_of(access: Access) -> ClientTimeout:
    """Return the limits of one request."""
    if access.timeout is not None:
        return ClientTimeout(total=access.timeout)
    return ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)


def _authentication(access: Access) -> tuple[tuple[str, str] | None, dict[str, str], list[Any]]:
    """Return auth, headers and middlewares for the session."""
    if access.auth is None:
        return None, {}, []
    if access.auth_type == "bearer":
        return None, {"Authorization": f"Bearer {access.auth}"}, []
    user, colon, password = access.auth.partition(":")
    if not colon:
        password = click.prompt(
            f"Password of {user}", hide_input=True, default="", show_default=False, err=True
        )
    if access.auth_type == "digest":
        return None, {}, [DigestAuthMiddleware(user, password)]
    return (user, password), {}, []


def _connector(access: Access, limit: int) -> TCPConnector:
    ssl = _tls(access)
    if access.proxy is not None and access.proxy.lower().startswith(_SOCKS):
        return SocksConnector(access.proxy, ssl=ssl, limit=limit)
    return TCPConnector(ssl=ssl, limit=limit)


def _tls(access: Access) -> ssl_module.SSLContext | bool:
    """Return what ``ssl=`` is to be.

    Raises:
        click.UsageError: a file does not hold what it should.
    """
    verify = access.verify.lower()
    if access.cert_key is not None and access.cert is None:
        raise click.UsageError("--cert-key is the key of a certificate: add --cert PATH")
    if verify in ("yes", "true", "no", "false") and access.cert is None:
        return verify in ("yes", "true")
    context = _context(access.verify)
    if access.cert is not None:
        try:
            context.load_cert_chain(access.cert, access.cert_key)
        except (OSError, ssl_module.SSLError) as exc:
            raise click.UsageError(
                f"--cert {access.cert} cannot be used: {exc.strerror or exc}; it must be a PEM "
                "file, and its key in the same file or that of --cert-key"
            ) from None
    return context


def _context(verify: str) -> ssl_module.SSLContext:
    if verify.lower() in ("yes", "true"):
        # This process has only this session, so that the context may be changed.
        return default_context()
    if verify.lower() in ("no", "false"):
        context = ssl_module.SSLContext(ssl_module.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl_module.CERT_NONE
        return context
    path = Path(verify).expanduser()
    try:
        if path.is_dir():
            return ssl_module.create_default_context(capath=str(path))
        return ssl_module.create_default_context(cafile=str(path))
    except (OSError, ssl_module.SSLError) as exc:
        raise click.UsageError(
            f"--verify {verify} cannot be used: {exc.strerror or exc}; write yes, no, or the path "
            "of a PEM file or a folder of certificates"
        ) from None


def _load(jar: CookieJar, file: Path) -> None:
    try:
        jar.load(file)
    except (ValueError, pickle.UnpicklingError) as exc:
        raise click.UsageError(f"--session: {exc}") from None
