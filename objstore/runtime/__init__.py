"""Layer 1: the outside world, one seam per file (green threads, clock, files, processes, logs)."""
