"""Background work on objects: each module is one pass (daemon/pass_.py)."""
