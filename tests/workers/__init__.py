"""Servers and workers as people run them: apps that call out through a session."""
