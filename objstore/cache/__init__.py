"""Layer 2: the in-process cache, and a memcached client."""
