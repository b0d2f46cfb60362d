"""What holds for every test."""

from hypothesis import settings

# A busy machine makes any example slow once, and hypothesis would call that a failure.
settings.register_profile("objstore", deadline=None)
settings.load_profile("objstore")
