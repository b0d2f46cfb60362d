"""One file per verb family of the object server."""
