"""Replays recorded conversations against any endpoint: `python -m tests.replay FOLDER ENDPOINT`.

A black box: nothing here imports objstore, so that a bug of its HTTP layer cannot hide in the test of it. What a case
looks like stands in README.md beside the recorded cases (tests/vectors/http).
"""
