"""Crash points: every operation that must survive a power cut, cut off between any two of its effects."""
