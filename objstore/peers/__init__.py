"""Layer 3: typed clients of the backend servers: what a proxy or a daemon says to a node."""
