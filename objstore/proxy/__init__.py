"""Layer 5: the proxy: client requests in, quorum decisions, backend requests out."""
