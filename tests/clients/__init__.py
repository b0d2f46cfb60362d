"""Real clients against a real cluster while a storage node is down: `python -m tests.clients`, or pytest (tests marked
`long`, and a smaller run in the default tier)."""
