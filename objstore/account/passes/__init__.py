"""Background passes over account databases."""
