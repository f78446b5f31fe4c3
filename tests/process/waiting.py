"""A script: blocks in the place that is named until the keyboard interrupts it."""

import sys
import threading
from contextlib import ExitStack

from tests.places import PLACES, session_for


def main(name: str) -> None:
    stack = ExitStack()  # not entered: all is open still when the process ends
    place = PLACES[name](stack)
    opened = session_for(place, limit_per_host=2)
    session = opened.__enter__()
    place.prepare(session, 1)
    main_thread, reached = {threading.get_ident()}, place.reached(session) + 1

    def tell() -> None:
        place.wait_until_blocked(session, main_thread, reached)
        sys.stdout.write("blocked\n")
        sys.stdout.flush()

    threading.Thread(target=tell, daemon=True).start()
    place.block(session)


if __name__ == "__main__":
    main(*sys.argv[1:])
