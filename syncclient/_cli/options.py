"""Options that several commands share, and the session that they describe."""

from __future__ import annotations

import pickle
import ssl as ssl_module
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import (
    BaseConnector,
    ClientTimeout,
    CookieJar,
    DigestAuthMiddleware,
    Session,
    SocksConnector,
    TCPConnector,
)
from .._async.connect.tls import default_context
from .exits import complain
from .named_session import NamedSession, is_name

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds to connect, and seconds without data, unless --timeout is given.
CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 300.0

_VERSIONS = {
    "tls1": ssl_module.TLSVersion.TLSv1,
    "tls1.1": ssl_module.TLSVersion.TLSv1_1,
    "tls1.2": ssl_module.TLSVersion.TLSv1_2,
    "tls1.3": ssl_module.TLSVersion.TLSv1_3,
}

_SOCKS = ("socks4://", "socks4a://", "socks5://", "socks5h://")

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("-a", "--auth", metavar="USER[:PASSWORD]", help="Credentials; TOKEN for bearer."),
    click.option(
        "-A",
        "--auth-type",
        type=click.Choice(["basic", "digest", "bearer"]),
        default="basic",
        show_default=True,
        help="How they are sent.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="For the whole request; 0 is no limit.  [default: 30 s to connect, 300 s a byte]",
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
        "--ssl",
        "tls",
        type=click.Choice(["tls1", "tls1.1", "tls1.2", "tls1.3"]),
        help="The one version of TLS to speak.",
    ),
    click.option("--ciphers", metavar="LIST", help="Ciphers up to TLS 1.2, in OpenSSL's words."),
    click.option(
        "--proxy", metavar="URL", help="http://, or with python-socks socks5://, and so on."
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
        metavar="NAME|FILE",
        help="Keep cookies, headers and credentials under NAME for this host; or cookies in FILE.",
    ),
    click.option(
        "--session-read-only",
        is_flag=True,
        help="Change nothing of --session.",
    ),
)


def access_options(command: F) -> F:
    """Add the options of ``Access`` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Access:
    """How to reach servers: the values of ``access_options``."""

    auth: str | None
    auth_type: str
    timeout: float | None
    verify: str
    cert: str | None
    cert_key: str | None
    tls: str | None
    ciphers: str | None
    proxy: str | None
    env: bool
    session_file: str | None
    session_read_only: bool

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Access:
        """Remove these options from those that click has parsed."""
        return cls(**{name: options.pop(name) for name in cls.__dataclass_fields__})


@contextmanager
def open_session(
    access: Access,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    middlewares: Sequence[Any] = (),
    connector: BaseConnector | None = None,
    limit: int = 100,
    timings: bool = False,
    keep: bool = True,
) -> Iterator[Session]:
    """Yield the session described by ``access``; save the cookies afterwards.

    Args:
        url: the target of the requests: a named session belongs to its host.
        headers: the headers of the request, which a named session keeps.
        connector: replaces the one described by ``access``.
        keep: whether to save cookies and named sessions.
    """
    access = _with_password(access)
    keep = keep and not access.session_read_only
    jar, file, own = CookieJar(), None, {}
    if (given := access.session_file) is not None:
        file = Path(given).expanduser()
        if is_name(given):
            named = NamedSession.load(given, url)
            if keep:
                named.keep(headers or {}, access.auth, access.auth_type)
            file, own = named.cookies, named.headers
            if access.auth is None and named.auth is not None:
                kind = named.auth_type or access.auth_type
                access = replace(access, auth=named.auth, auth_type=kind)
        if file.exists():
            _load(jar, file)
    auth, authorization, first = _authentication(access)
    proxy = access.proxy
    if proxy is not None and proxy.lower().startswith(_SOCKS):
        proxy = None
    with Session(
        connector=_connector(access, limit) if connector is None else connector,
        cookie_jar=jar,
        auth=auth,
        headers={**own, **authorization},
        proxy=proxy,
        trust_env=access.env,
        timeout=timeout_of(access),
        middlewares=[*first, *middlewares],
        timings=timings,
    ) as session:
        try:
            yield session
        finally:
            if file is not None and keep:
                jar.save(file, format="netscape" if file.suffix == ".txt" else "json")


def timeout_of(access: Access) -> ClientTimeout:
    """Return the limits of one request."""
    if access.timeout is not None:
        return ClientTimeout(total=access.timeout or None)
    return ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)


def _with_password(access: Access) -> Access:
    """Return ``access`` with a password; prompt for it if it was left out."""
    if access.auth is None or access.auth_type == "bearer" or ":" in access.auth:
        return access
    password = click.prompt(
        f"Password of {access.auth}", hide_input=True, default="", show_default=False, err=True
    )
    return replace(access, auth=f"{access.auth}:{password}")


def _authentication(access: Access) -> tuple[tuple[str, str] | None, dict[str, str], list[Any]]:
    """Return auth, headers and middlewares for the session."""
    if access.auth is None:
        return None, {}, []
    if access.auth_type == "bearer":
        return None, {"Authorization": f"Bearer {access.auth}"}, []
    user, _, password = access.auth.partition(":")
    if access.auth_type == "digest":
        return None, {}, [DigestAuthMiddleware(user, password)]
    return (user, password), {}, []


def _connector(access: Access, limit: int) -> TCPConnector:
    ssl = _tls(access)
    if access.proxy is not None and access.proxy.lower().startswith(_SOCKS):
        return SocksConnector(access.proxy, ssl=ssl, limit=limit)
    return TCPConnector(ssl=ssl, limit=limit)


def _tls(access: Access) -> ssl_module.SSLContext | bool:
    """Return the value for ``ssl=``.

    Raises:
        click.UsageError: a file is malformed.
    """
    verify = access.verify.lower()
    if access.cert_key is not None and access.cert is None:
        raise click.UsageError("--cert-key is the key of a certificate: add --cert PATH")
    plain = access.cert is None and access.tls is None and access.ciphers is None
    if plain and verify in ("yes", "true", "no", "false"):
        return verify in ("yes", "true")
    context = _context(access.verify)
    if access.tls is not None:
        context.minimum_version = context.maximum_version = _VERSIONS[access.tls]
    if access.ciphers is not None:
        try:
            context.set_ciphers(access.ciphers)
        except ssl_module.SSLError:
            raise click.UsageError(
                f"--ciphers {access.ciphers}: OpenSSL knows none of these; 'openssl ciphers' "
                "lists them"
            ) from None
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
        # This process has only this session, so the context may be changed.
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
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            jar.load(file)
        for warning in told:
            complain(f"--session: {warning.message}")
    except (ValueError, pickle.UnpicklingError) as exc:
        raise click.UsageError(f"--session: {exc}") from None
