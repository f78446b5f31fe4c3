"""One request and its response: bodies, redirects, retries, errors, and where it is."""
