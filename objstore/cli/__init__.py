"""Layer 7: one module per command: main(argv, *, stdout, stderr, environ) -> exit code."""
