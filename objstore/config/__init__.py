"""Layer 1: typed settings, parsed once from PasteDeploy ini files; every problem in one report."""
