"""Pipelines that the suites of this package need."""

from __future__ import annotations

from tests.support.cluster import Cluster

_OPTIONAL = ("crossdomain", "domain_remap", "etag_quoter")


def with_optional_filters(cluster: Cluster) -> None:
    """Add the filters that change nothing for a client that does not ask for them."""
    pipeline = cluster.setting("pipeline:main", "pipeline")
    pipeline = pipeline.replace("listing_formats", f"{' '.join(_OPTIONAL)} listing_formats")
    cluster.configure("pipeline:main", "pipeline", " ".join(pipeline.split()))
    for name in _OPTIONAL:
        cluster.configure(f"filter:{name}", "use", f"egg:objstore#{name}")
