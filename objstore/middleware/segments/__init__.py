"""What static and dynamic large objects have in common: pieces of stored objects, joined into one body."""
