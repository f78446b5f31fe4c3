"""Fuzz tests: whatever a server sends, what reaches the caller is documented.

Part of the ordinary tests with a few examples each, the same in every run. For longer, and
with other examples each time: `nox -s fuzz -- --minutes 10`, or `python -m tests.fuzz`.

A test here takes `@fuzzed` from `tests.fuzz.pace`, under `@given(...)`, and the fixtures of
`conftest.py`.
"""
