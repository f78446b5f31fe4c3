"""The other project named syncclient: a Firefox Sync client, with a package of the same name.

pip puts the files of both into one folder, where they share ``__init__.py``: the last one to be
installed wins, and uninstalling either removes the file.
"""

from __future__ import annotations

import os
import warnings

#: A file that only the other project has.
_THEIRS = "client.py"

CURE = (
    "the distribution syncclient, a Firefox Sync client, is installed over syncclient-http and "
    "shares its folder. Remove both, and install one again: "
    "pip uninstall syncclient syncclient-http"
)


def is_shared(init: str) -> bool:
    """Return whether the folder of ``init``, this package's ``__init__.py``, has its files too."""
    return os.path.exists(os.path.join(os.path.dirname(init), _THEIRS))


def check_name(init: str) -> None:
    """Warn if both are installed, and this one was installed last."""
    if is_shared(init):
        warnings.warn(CURE, RuntimeWarning, stacklevel=3)
