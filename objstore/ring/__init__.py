"""Rings: which devices hold a partition, and how that assignment is made.

model and lookup answer questions (every server, per request); fileformat and reload bring a ring from disk; builder,
rebalance and dispersion make one (objstore-ring-builder, objstore init). Formats: doc/formats/rings.md.
"""
