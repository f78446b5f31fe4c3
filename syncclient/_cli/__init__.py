"""The command line: ``syncclient`` and ``python -m syncclient``. Needs the extra ``cli``.

``import syncclient`` imports neither this package nor click or rich.
"""
