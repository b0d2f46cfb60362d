"""Encryption at rest: bodies, ETags and user metadata of objects, by keys that only the proxies have."""
