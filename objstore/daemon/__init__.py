"""Background work: its contract, the runner that times it, and what it reports."""
