"""Replays what servers said to each other: to our servers (backend), and from our proxy (relay).

Recorded in tests/vectors/wire (README.md there). Recorded times are moved by whole days into the present, so that no
tombstone is too old and no expiry date in the past.
"""
