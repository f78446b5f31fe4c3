"""The scoreboard: syncclient beside its peers, on one machine, in one run.

``python -m benchmarks --help`` tells what can be chosen.
"""
