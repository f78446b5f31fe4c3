"""The sockets of this process's connections, so that a forked child can let go of them.

For its server a connection ends when the last process that has the socket open closes it:
a child that merely lives would keep its parent's connections open. So it puts
``/dev/null`` in the place of each. This also disarms whatever might still be done to the
inherited objects: the goodbye of a TLS connection, for one, would go into the parent's stream.

Why by ``dup2``: the sockets' and transports' own ``close`` takes them out of the epoll set,
which the parent shares, and ``shutdown`` ends the connection for the parent as well. After a plain
``os.close`` the number would be free, and a belated finaliser would close whatever file
of the child's own had got it. To the epoll set a ``dup2`` is nothing: what is registered
there is the open socket, which lives on in the parent.
"""

from __future__ import annotations

import os
import socket
import weakref
from typing import Protocol

_FORKS = hasattr(os, "fork")


class HasFileno(Protocol):
    """What a transport shows of its socket."""

    def fileno(self) -> int:
        """Return the number of the descriptor, or -1 once it is closed."""


#: The process that opened the sockets below.
_pid = os.getpid()
#: Each socket with its inode, which tells whether its number is still its own.
_sockets: weakref.WeakKeyDictionary[socket.socket, int] = weakref.WeakKeyDictionary()
#: The same by the protocol, for sockets that the event loop made for itself.
_of_protocols: weakref.WeakKeyDictionary[object, tuple[HasFileno, int]] = (
    weakref.WeakKeyDictionary()
)


def note_socket(sock: socket.socket) -> None:
    """Remember ``sock`` while it is open. Loop thread only."""
    if _FORKS:
        let_go()
        _sockets[sock] = _inode(sock)


def note_protocol(protocol: object, sock: HasFileno | None) -> None:
    """Remember ``sock``, which ``protocol`` reads from, while it is open. Loop thread only."""
    if _FORKS and sock is not None:
        let_go()
        _of_protocols[protocol] = sock, _inode(sock)


def let_go() -> None:
    """In a forked child, close its copies of its parent's sockets. Else do nothing.

    An at-fork handler. Called once more with each new socket, as a server written in C may
    fork without running those handlers.
    """
    global _pid
    if _pid == os.getpid():
        return
    _pid = os.getpid()
    inherited = [*_sockets.items(), *_of_protocols.values()]
    _sockets.clear()
    _of_protocols.clear()
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # no descriptor to be had: what was inherited is kept until the exit, then
    for sock, inode in inherited:
        try:
            if _inode(sock) == inode:
                os.dup2(null, sock.fileno(), inheritable=False)
        except OSError:
            continue  # closed before the fork
    os.close(null)


def _inode(sock: HasFileno) -> int:
    return os.fstat(sock.fileno()).st_ino
