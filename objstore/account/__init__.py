"""Layer 5: the account server."""
