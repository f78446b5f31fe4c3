"""Exit codes, and one-line error messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from .. import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ClientSSLError,
    InvalidURL,
    NonHttpUrlClientError,
    ServerFingerprintMismatch,
    ServerTimeoutError,
    TooManyRedirects,
    WSServerHandshakeError,
)
from .._async.exchange.connect_errors import Told
from .._models import redacted_text
from .items import ItemError
from .terminal import printable

OK = 0
FAILED = 1
USAGE = 2
REDIRECTED = 3
CLIENT_ERROR = 4
SERVER_ERROR = 5
REDIRECTS = 6
DNS = 10
CONNECT = 11
TLS = 12
TIMEOUT = 13
PROXY = 14
BROKEN = 15
WEBSOCKET = 16
INTERRUPTED = 130
CLOSED_PIPE = 141

#: As --help shows them.
TABLE = """\
\b
Exit codes:
    0  success
    1  another failure, such as writing a file
    2  wrong usage: an option, an item, a URL
    3  --check-status, and the status is 3xx
    4  the same with 4xx; always so for download, sse and ws
    5  the same with 5xx
    6  more than --max-redirects redirects
   10  the name of the host was not found
   11  no connection could be made
   12  TLS failed, for example because of the certificate
   13  a timeout
   14  the proxy could not be reached, or refused
   15  the connection broke, or the response is not valid
   16  ws: the server closed with an error code
   69  click or rich is missing: pip install click rich
  130  Ctrl-C
  141  the reader of the output has gone
"""


class Ended(Exception):
    """The command has ended with a specific code; the message, if any, goes to stderr."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def code_of_status(status: int) -> int:
    """Return the exit code of ``--check-status`` for a status."""
    return {3: REDIRECTED, 4: CLIENT_ERROR, 5: SERVER_ERROR}.get(status // 100, OK)


def code_and_hint(error: Exception) -> tuple[int, str]:
    """Return the exit code for ``error``, and a hint what to do, which may be empty."""
    if isinstance(error, (ServerTimeoutError, TimeoutError)):
        return TIMEOUT, "is the server up? --timeout SECONDS allows for more"
    if isinstance(error, TooManyRedirects):
        return REDIRECTS, "--max-redirects N allows for more, --no-follow shows the first"
    if isinstance(error, (ClientProxyConnectionError, ClientHttpProxyError)):
        return PROXY, "check --proxy, or the proxies of the environment (--no-env)"
    if isinstance(error, ClientConnectorDNSError):
        return DNS, "check the spelling of the host"
    if isinstance(error, ServerFingerprintMismatch):
        return TLS, ""
    if isinstance(error, (ClientConnectorCertificateError, ClientConnectorSSLError)):
        return TLS, _tls_hint(error)
    if isinstance(error, ClientSSLError):
        return TLS, ""
    if isinstance(error, Told) and "during the TLS handshake" in error.what:
        return TLS, _NO_TLS
    if isinstance(error, ClientConnectorError):
        return CONNECT, "is the server up, and is the port right?"
    if isinstance(error, (InvalidURL, NonHttpUrlClientError)):
        return USAGE, ""
    if isinstance(error, ClientResponseError):
        return code_of_status(error.status) or BROKEN, ""
    if isinstance(error, (ClientPayloadError, ClientError)):
        return BROKEN, ""
    if isinstance(error, (ItemError, ValueError)):  # ValueError names a wrong argument
        return USAGE, ""
    return FAILED, ""


_NO_TLS = "does it speak TLS? try http://"
_UNTRUSTED = "--verify FILE trusts its authority, --verify no trusts anyone"
#: By the number of X509_V_ERR_...
_CERTIFICATES = {
    9: "check the clocks of the server and of this machine",
    10: "renew it on the server, or check this machine's clock; --verify no trusts anyone",
    18: "--verify FILE trusts it, --verify no trusts anyone",
    23: "",
    62: "write the name that the certificate is for in the URL; no --verify FILE can help",
    64: "write a name that the certificate is for in the URL; no --verify FILE can help",
}
#: Hints by the reason of an ssl.SSLError, if its own message is not enough.
_HANDSHAKES = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": _NO_TLS,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "--cert FILE gives the server a certificate",
}


def _tls_hint(error: ClientConnectorCertificateError | ClientConnectorSSLError) -> str:
    """Return a hint for a failed handshake, which --verify cannot always fix."""
    if isinstance(error, ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        return _CERTIFICATES.get(code, _UNTRUSTED)
    own = error.hint.rstrip(".") if isinstance(error, Told) else ""
    return _HANDSHAKES.get(str(getattr(error.os_error, "reason", "")), own)


def guarded(command: Callable[[], object]) -> int:
    """Run ``command`` and return the exit code; errors become one line on stderr."""
    try:
        try:
            command()
            sys.stdout.flush()
        except click.ClickException as exc:
            complain(_usage(exc))
            return exc.exit_code
        except click.exceptions.Exit as exc:
            return exc.exit_code
        except Ended as exc:
            if exc.message:
                complain(exc.message)
            return exc.code
        except (KeyboardInterrupt, click.Abort):
            return INTERRUPTED
        except ClientError as exc:
            return _told(exc)
        except BrokenPipeError:
            return _reader_gone()
        except (ItemError, OSError, ValueError, ImportError) as exc:
            return _told(exc)
    except BrokenPipeError:
        return _reader_gone()
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK


def complain(message: str) -> None:
    """Write one line to stderr, even if the message has several."""
    line = printable(" ".join(message.split()))
    sys.stderr.write(f"syncclient: {line}\n")


def _told(error: Exception) -> int:
    code, hint = code_and_hint(error)
    text = redacted_text(describe(error))
    complain(f"{text} ({hint})" if hint else text)
    return code


def describe(error: Exception) -> str:
    """Return the message of ``error`` for people."""
    if isinstance(error, InvalidURL):
        return f"{error.url} is no URL to ask for: {error.description or 'it is malformed'}"
    if isinstance(error, NonHttpUrlClientError):
        return str(error).replace(" - ", " is no URL to ask for: ", 1)
    if isinstance(error, TooManyRedirects):
        return error.message
    if isinstance(error, WSServerHandshakeError):
        return f"this is no WebSocket: the server answered {error.status} ({error.message})"
    if isinstance(error, ClientResponseError):
        return f"the server answered {error.status} {error.message}".rstrip()
    if isinstance(error, Told):  # without its hint: the command line has hints of its own
        return f"{error.what} ({error.request})"
    if isinstance(error, OSError) and not isinstance(error, ClientError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error) or type(error).__name__


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    name = "syncclient" if context is None else context.command_path
    message = error.format_message().rstrip(".")
    return f"{message} (see {name} --help)"


def _reader_gone() -> int:
    # The rest of the buffer would be written at exit, with an error message.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)
    return CLOSED_PIPE
