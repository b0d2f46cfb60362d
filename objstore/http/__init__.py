"""Layer 2: HTTP/1.1: strict parsing, framing, the server and client on green sockets, the WSGI boundary."""
