"""What the doors for httpx and httpx2 share: one transport, written for both libraries."""
