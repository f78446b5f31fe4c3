"""Servers for the tests, the demo and the benchmarks. All of them bind loopback only.

`process.app_server()` runs a well-behaved aiohttp.web application (`app`) in a process of its own,
so that it shares neither the interpreter lock nor an event loop with the client under test.
`raw.RawServer` plays a script on a bare socket: the malformed, the stalled and the cut-off.
`python -m tests.servers --port 8080` runs the application by hand.
"""
