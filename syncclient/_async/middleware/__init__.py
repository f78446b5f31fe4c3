"""Middlewares of the core, and how blocking ones are served."""
