"""Versions of objects: the object versioning API (A4.8) and the older X-Versions-Location (A4.7). Formats 8.5."""
