"""Layer 3: what account and container servers have in common."""
