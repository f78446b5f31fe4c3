"""Public suffixes: the list of publicsuffix.org, as the package publicsuffixlist ships it.

Only the list of the package is used. Its parser encodes ten thousand rules, which takes a tenth
of a second.
"""

from __future__ import annotations

import pkgutil
from functools import cache, lru_cache

import publicsuffixlist

#: The labels of the longest rule, and one more.
_DEPTH = 7


@cache
def load_rules() -> frozenset[str]:
    """Return all rules, of registries and of companies; read once, in about three milliseconds.

    Called when a jar is created, which never happens on the loop thread. If the file is missing,
    as in a frozen program without data files, only the last label counts as a public suffix.
    """
    try:
        data = pkgutil.get_data(publicsuffixlist.__name__, "public_suffix_list.dat") or b""
    except OSError:
        data = b""
    lines = data.decode("utf-8").split("\n")
    return frozenset(line.strip() for line in lines if line and not line.startswith("//"))


@lru_cache(4096)
def registrable_domain(host: str) -> str:
    """Return the part of ``host`` that one owner registered, such as ``example.co.uk``.

    A host that is itself a public suffix, or below none, is returned whole.
    """
    labels = host.split(".")
    rules = load_rules()
    shown = [_decoded(label) for label in labels[-_DEPTH:]]
    for start in range(len(shown)):
        below = ".".join(shown[start:])
        if f"!{below}" in rules:
            return ".".join(labels[len(labels) - len(shown) + start :])
        above = ".".join(shown[start + 1 :])
        if below in rules or (above and f"*.{above}" in rules):
            break
    else:
        start = len(shown) - 1  # the rule for all that no other names: "*"
    own = len(labels) - len(shown) + start - 1
    return ".".join(labels[max(own, 0) :])


def is_public_suffix(domain: str) -> bool:
    """Return whether names directly below ``domain`` belong to different owners."""
    # One label more, and that one is the owner's.
    return registrable_domain(f"a.{domain}") == f"a.{domain}"


def _decoded(label: str) -> str:
    # The list is in Unicode, hosts are not.
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
