"""Layer 5: setting up and joining a cluster."""
