"""The servers that clients are measured against, each in a process of its own.

All answer the same routes (``routes.py``); ``nginx`` only the small reply and files. It is the
default where it is installed, else ``raw`` is, which also serves what nginx cannot: a server that
costs as much as a client hides the clients' differences in its own time, and with many requests in
flight it is the bottleneck itself. How busy the server was stands in every table, so that a figure
which is the server's rather than the client's shows itself.
"""
