"""Settings of [filter:versioned_writes]."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Settings, boolean, setting


@dataclass(frozen=True)
class VersionedWritesSettings(Settings):
    allow_versioned_writes: bool = setting("true", boolean, "X-Versions-Location and X-History-Location; else 412.")
    allow_object_versioning: bool = setting("true", boolean, "X-Versions-Enabled; else 412.")
