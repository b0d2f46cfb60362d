"""One file per verb family of the account server."""
