"""Content codings, undone as a body is read."""
