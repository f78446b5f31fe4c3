"""A cache of responses (RFC 9111)."""
