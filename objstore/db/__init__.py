"""Layer 2: SQLite brokers for account and container databases."""
