"""Names for the parameters of tests that are the same in every process: xdist compares them."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SET = re.compile(r"(?<=frozenset\(\{)[^}]*")


def steady(value: object) -> str:
    """Return ``str(value)`` without addresses, and with sets in sorted order."""
    text = _ADDRESS.sub("", str(value))
    return _SET.sub(lambda found: ", ".join(sorted(found[0].split(", "))), text)
