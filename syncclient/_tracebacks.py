"""Tracebacks of errors that cross from the loop thread: lines and names, but no variables."""

from __future__ import annotations

import contextlib

#: Packages whose frames are emptied.
_ENGINE = frozenset({"aiohttp", "aiohappyeyeballs", "anyio", "asyncio", "syncclient", "uvloop"})


def original(error: BaseException) -> BaseException:
    """Return ``error``, or the StopIteration that a coroutine turned into it (PEP 479)."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        return error.__cause__
    return error


def clear_engine_frames(error: BaseException) -> None:
    """Clear the variables of the engine's frames in the traceback. Loop thread only.

    The error goes to the caller. With these variables, the caller would drop the last references
    to objects of the loop on the wrong thread. Lines and names stay, and so do the variables of
    the user's own frames.

    An error of the engine's that another has replaced goes, too: nothing shows it, and it may hold
    what cannot be pickled, such as an SSLContext, where tblib has errors pickled with all of these.
    """
    todo, seen = [error], set()
    while todo:
        error = todo.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        context = error.__context__
        replaced = error.__suppress_context__ and context is not error.__cause__
        if replaced and type(context).__module__.partition(".")[0] in _ENGINE:
            error.__context__ = None
        grouped = getattr(error, "exceptions", ())  # of an ExceptionGroup
        related = (error.__cause__, error.__context__, *grouped)
        todo += [e for e in related if isinstance(e, BaseException)]
        tb = error.__traceback__
        while tb is not None:
            module = str(tb.tb_frame.f_globals.get("__name__", ""))
            if module.partition(".")[0] in _ENGINE:
                with contextlib.suppress(RuntimeError):  # this frame is still running
                    tb.tb_frame.clear()
            tb = tb.tb_next


def bare(error: BaseException) -> BaseException:
    """Strip the tracebacks from ``error`` and its causes, and return it.

    The error becomes a value, perhaps for another thread. A traceback would keep the frames of
    the engine and everything that they hold.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            left += [each.__cause__, each.__context__]
    return error
