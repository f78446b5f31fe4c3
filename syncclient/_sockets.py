"""The sockets of this process's connections, which a forked child has to close.

A server sees the end of a connection only when the last process that has the socket open closes
it: a child would keep its parent's connections open by living. So it replaces each socket by
``/dev/null``. This also makes later uses of the inherited objects harmless: the goodbye of a TLS
connection, for example, would go into the parent's stream.

It uses ``dup2``, because ``close`` of a socket or transport removes it from the epoll set, which
the parent shares, and ``shutdown`` ends the connection for the parent as well. After a plain
``os.close`` the number would be free, and a late finaliser could close a file of the child that
has got it. ``dup2`` does not affect the epoll set: registered there is the open socket, which
lives on in the parent.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

_FORKS = hasattr(os, "fork")


class HasFileno(Protocol):
    """A socket, or what a transport exposes of it."""

    def fileno(self) -> int:
        """Return the number of the descriptor, or -1 once it is closed."""


#: The process that opened the sockets below.
_pid = os.getpid()
#: Each socket with its inode, which shows whether the number still belongs to it. Cleaned up
#: without running Python code, like ``WeakRefs``: sockets on loan end in callers' threads.
_sockets: dict[weakref.ref[HasFileno], int] = {}
#: The same, by protocol, for sockets that the event loop has made.
_of_protocols: dict[weakref.ref[object], tuple[HasFileno, int]] = {}


def note_socket(sock: HasFileno) -> None:
    """Remember ``sock`` while it is open. Loop thread only."""
    if _FORKS:
        let_go()
        _sockets[weakref.ref(sock, _sockets.__delitem__)] = _inode(sock)


def note_protocol(protocol: object, sock: HasFileno | None) -> None:
    """Remember ``sock``, which ``protocol`` reads from, while it is open. Loop thread only."""
    if _FORKS and sock is not None:
        let_go()
        key = weakref.ref(protocol, _of_protocols.__delitem__)
        _of_protocols[key] = sock, _inode(sock)


def let_go() -> None:
    """In a forked child, close the copies of the parent's sockets. Otherwise do nothing.

    An at-fork handler. Also called with each new socket, since a server written in C may fork
    without running the handlers.
    """
    global _pid
    if _pid == os.getpid():
        return
    _pid = os.getpid()
    noted = [(ref(), inode) for ref, inode in list(_sockets.items())]
    inherited = [*noted, *_of_protocols.values()]
    _sockets.clear()
    _of_protocols.clear()
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # no descriptor is free: the inherited sockets stay open until the exit
    for sock, inode in inherited:
        try:
            if sock is not None and _inode(sock) == inode:
                os.dup2(null, sock.fileno(), inheritable=False)
        except OSError:
            continue  # closed before the fork
    os.close(null)


def _inode(sock: HasFileno) -> int:
    return os.fstat(sock.fileno()).st_ino
