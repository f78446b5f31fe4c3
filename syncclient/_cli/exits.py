"""Exit codes, and the one line that an error is told in."""

from __future__ import annotations

import os
import re
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
    0  done
    1  something else failed, such as writing a file
    2  wrong usage: an option, an item, a URL
    3  --check-status, and the status is 3xx
    4  the same with 4xx; always so for download, sse and ws
    5  the same with 5xx
    6  more than --max-redirects redirects
   10  the name of the host was not found
   11  no connection could be made
   12  TLS failed: the certificate, for one
   13  a timeout
   14  the proxy could not be reached, or refused
   15  the connection broke, or the response is not sound
   16  ws: the server closed with an error code
   69  the extra is missing: pip install 'syncclient[cli]'
  130  Ctrl-C
  141  the reader of the output has gone
"""


class Ended(Exception):
    """The command has ended with a code of its own; the message, if any, goes to stderr."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def code_of_status(status: int) -> int:
    """Return what ``--check-status`` makes of a status."""
    return {3: REDIRECTED, 4: CLIENT_ERROR, 5: SERVER_ERROR}.get(status // 100, OK)


def code_and_hint(error: Exception) -> tuple[int, str]:
    """Return the exit code for ``error``, and what to do about it; the hint may be empty."""
    if isinstance(error, (ServerTimeoutError, TimeoutError)):
        return TIMEOUT, "is the server up? --timeout SECONDS allows for more"
    if isinstance(error, TooManyRedirects):
        return REDIRECTS, "--max-redirects N allows for more, --no-follow shows the first"
    if isinstance(error, (ClientProxyConnectionError, ClientHttpProxyError)):
        return PROXY, "look at --proxy, or at the proxies of the environment (--no-env)"
    if isinstance(error, ClientConnectorDNSError):
        return DNS, "check the spelling of the host"
    if isinstance(error, ServerFingerprintMismatch):
        return TLS, ""
    if isinstance(error, (ClientConnectorCertificateError, ClientConnectorSSLError)):
        return TLS, "--verify FILE trusts another authority, --verify no trusts anyone"
    if isinstance(error, ClientSSLError):
        return TLS, ""
    if isinstance(error, ClientConnectorError):
        return CONNECT, "is the server up, and the port right?"
    if isinstance(error, (InvalidURL, NonHttpUrlClientError)):
        return USAGE, ""
    if isinstance(error, ClientResponseError):
        return code_of_status(error.status) or BROKEN, ""
    if isinstance(error, (ClientPayloadError, ClientError)):
        return BROKEN, ""
    if isinstance(error, (ItemError, ValueError)):  # ValueError names an argument of ours
        return USAGE, ""
    return FAILED, ""


def guarded(command: Callable[[], object]) -> int:
    """Run ``command`` and return the exit code; whatever it raises becomes one line on stderr."""
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
    """Write one line to stderr, whatever the message holds."""
    line = printable(" ".join(message.split()))
    sys.stderr.write(f"syncclient: {line}\n")


def _told(error: Exception) -> int:
    code, hint = code_and_hint(error)
    text = redacted_text(describe(error))
    complain(f"{text} ({hint})" if hint else text)
    return code


def describe(error: Exception) -> str:
    """Return what ``error`` says, for people."""
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
    if isinstance(error, ClientConnectorError) and error.os_error.strerror:
        number = error.os_error.errno
        plain = os.strerror(number) if number and number > 0 else "no connection"
        return _NO_CONNECTION.sub(lambda found: plain, error.os_error.strerror)
    if isinstance(error, OSError) and not isinstance(error, ClientError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error) or type(error).__name__


#: What says no more than that: the number of the error does.
_NO_CONNECTION = re.compile(r"Connect call failed \([^)]*\)")


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    name = "syncclient" if context is None else context.command_path
    message = error.format_message().rstrip(".")
    return f"{message} (see {name} --help)"


def _reader_gone() -> int:
    # What is still in the buffer would be written at exit, and complained about.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)
    return CLOSED_PIPE
