"""What an error may carry from the loop thread to its caller: lines and names, no variables."""

from __future__ import annotations

import contextlib

#: Packages whose frames are emptied.
_ENGINE = frozenset({"aiohttp", "aiohappyeyeballs", "anyio", "asyncio", "syncclient", "uvloop"})


def original(error: BaseException) -> BaseException:
    """Return the StopIteration that no coroutine lets pass (PEP 479), or else ``error``."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        return error.__cause__
    return error


def clear_engine_frames(error: BaseException) -> None:
    """Empty the frames of the engine that ``error``'s traceback holds. Loop thread only.

    The traceback goes to the caller. With the frames' variables in it, the caller
    would drop the last references to objects of the loop's, from the wrong thread.
    Lines and names stay, and so do the variables of the user's own frames.
    """
    todo, seen = [error], set()
    while todo:
        error = todo.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
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
