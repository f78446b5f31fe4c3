"""Bodies in both directions: those that users send, and those that arrive."""
