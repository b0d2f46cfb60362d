"""objstore: a replicated object storage cluster that speaks the OpenStack Swift API.

Read doc/architecture.md first. The layers it draws are kept by tests/unit/test_architecture.py.
"""

__version__ = "0.1.0"
