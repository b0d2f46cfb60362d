"""Layer 3: a client of a Swift API over the network: logging in, requests, listings, and whole transfers of files.

Native threads and the standard library's sockets: nothing here needs the hub. Decision: doc/decisions/0015.
"""
