"""Layer 5: the object server."""
