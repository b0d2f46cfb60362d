"""Settings of [filter:slo]."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Settings, boolean, decimal, number, setting


@dataclass(frozen=True)
class SloSettings(Settings):
    max_manifest_segments: int = setting("1000", number(1), "Segments of a manifest, inline data not counted.")
    max_manifest_size: int = setting("8388608", number(1024), "Bytes of a manifest that a client PUTs.")
    yield_frequency: int = setting("10", number(1), "Seconds between blanks of ?heartbeat=on and of deletions.")
    concurrency: int = setting("10", number(1, 100), "Segments that are checked at once for a PUT of a manifest.")
    delete_concurrency: int = setting("4", number(1, 100), "Segments that are deleted at once.")
    rate_limit_under_size: int = setting("16384", number(0), "Segments smaller than this count as small.")
    rate_limit_after_segment: int = setting("10", number(0), "Small segments that are read as fast as they come.")
    rate_limit_segments_per_sec: float = setting("50", decimal(0), "Small segments a second after those; 0: no limit.")
    allow_async_delete: bool = setting("true", boolean, "Let &async=on leave the segments to the expirer.")


SEGMENT_BYTES_MIN = 1
STORED_BYTES_MAX = 64 << 20
"""Of a stored manifest: names, types and dates make it longer than what the client sent, but never so long."""
DEPTH_MAX = 10
"""Manifests within manifests."""
