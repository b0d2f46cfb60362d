"""Layer 5: the container server."""
