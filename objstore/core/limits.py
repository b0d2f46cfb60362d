"""The limits of names, metadata and listings: [swift-constraints], published in /info. Source: formats 1.1."""

from __future__ import annotations

from dataclasses import dataclass

GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes of UTF-8. Defaults are Swift's."""

    max_file_size: int = 5 * GIBIBYTE + 2
    max_meta_name_length: int = 128
    max_meta_value_length: int = 256
    max_meta_count: int = 90
    max_meta_overall_size: int = 4096
    max_header_size: int = 8192
    max_object_name_length: int = 1024
    max_container_name_length: int = 256
    max_account_name_length: int = 256
    container_listing_limit: int = 10000
    account_listing_limit: int = 10000
    extra_header_count: int = 0
    valid_api_versions: tuple[str, ...] = ("v1", "v1.0")
    auto_create_account_prefix: str = "."
