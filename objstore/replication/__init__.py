"""Layer 4: deciding what to replicate (pure) and carrying it."""
