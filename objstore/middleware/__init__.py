"""Layer 6: WSGI filters, one per file."""
