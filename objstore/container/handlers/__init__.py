"""One file per verb family of the container server."""
