"""What holds for every test."""

import os

from hypothesis import settings

from objstore.runtime import green

# A busy machine makes any example slow once, and hypothesis would call that a failure.
settings.register_profile("objstore", deadline=None)
settings.load_profile("objstore")

_HERE = os.getpid()
_patch_sockets = green.patch_sockets


def _patch_sockets_of_other_processes() -> None:
    """Commands that tests call in this process would make its sockets green for all tests after them; whatever depends
    on that, or on its opposite, would depend on the order of tests."""
    if os.getpid() != _HERE:
        _patch_sockets()


green.patch_sockets = _patch_sockets_of_other_processes
