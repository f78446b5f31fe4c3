"""The entry point of the command line: says what to install if click or rich is missing."""

from __future__ import annotations

import sys

from ._name_clash import CURE

#: The exit code if the command line is not installed; sysexits.h calls it EX_UNAVAILABLE.
NOT_INSTALLED = 69


def main() -> None:
    """Run the command line with the arguments of this process; ends in SystemExit."""
    package = sys.modules[__package__]
    if not hasattr(package, "Session"):
        # The other package was installed last: our __init__.py is gone, but this file is left.
        sys.stderr.write(f"syncclient: {CURE}\n")
        sys.exit(NOT_INSTALLED)
    try:
        from ._cli.app import run
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in ("click", "rich", "pygments"):
            raise
        sys.stderr.write(
            f"syncclient: the command line needs {exc.name}, which is not installed: "
            "pip install click rich\n"
        )
        sys.exit(NOT_INSTALLED)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())


if __name__ == "__main__":
    main()
