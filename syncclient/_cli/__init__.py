"""The command line: ``syncclient`` and ``python -m syncclient``. Needs the extra ``cli``.

Nothing of what ``import syncclient`` runs imports this package, nor click or rich.
"""
