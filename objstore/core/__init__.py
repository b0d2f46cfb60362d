"""Layer 0: pure values and rules. Standard library only; no clock, no I/O."""
