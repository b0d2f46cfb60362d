"""Background passes over container databases."""
