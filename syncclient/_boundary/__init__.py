"""The boundary: the loop thread, and the calls that cross to it."""
