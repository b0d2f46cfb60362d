"""The filters for large objects, links and versions over real storage servers in this process, with faults to order.

    with StorageNodes(tmp_path) as nodes:
        site = filtered(nodes.proxy())
        site.faults.append(lambda environ: 503 if environ["REQUEST_METHOD"] == "PUT" else None)
        site.put("/v1/AUTH_a/c/o", body=b"x")

A fault stands between the filters and the proxy: it sees every request that reaches that far, and answers it with the
status it returns. What went down is in `seen`, as (method, path, query).
"""

from __future__ import annotations

from objstore.core.limits import Limits
from objstore.http.response import page
from objstore.middleware.copy import Copy
from objstore.middleware.dlo import Dlo, DloSettings
from objstore.middleware.slo.filter import Slo
from objstore.middleware.slo.settings import SloSettings
from objstore.middleware.symlink import Symlink, SymlinkSettings
from objstore.middleware.versioning.filter import VersionedWrites
from objstore.middleware.versioning.settings import VersionedWritesSettings
from tests.support.storage_nodes import ProxyClient


class FilteredClient(ProxyClient):
    """A ProxyClient of the whole pipeline. page_rows: what a dynamic large object takes for a full page. inside(app):
    what stands between these filters and the proxy."""

    def __init__(self, proxy, page_rows=10000, inside=lambda app: app, **slo_settings):
        self.faults = []
        self.seen = []
        settings, problems = SloSettings.from_pairs(slo_settings)
        assert not problems
        app = VersionedWrites(
            Symlink(inside(self._below(proxy.app)), SymlinkSettings()), VersionedWritesSettings(), Limits()
        )
        app = Copy(Slo(Dlo(app, DloSettings(), page_rows), settings), Limits())
        super().__init__(proxy.app.at_the_edge(app))

    def _below(self, proxy):
        def app(environ, start_response):
            self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")))
            for fault in self.faults:
                status = fault(environ)
                if status is not None:
                    return page(status)(environ, start_response)
            return proxy(environ, start_response)

        return app

    def methods(self, method):
        """Paths that were asked with a method."""
        return [path for seen, path, _ in self.seen if seen == method]


def fails(method, mark, status=503):
    """A fault: requests of a method whose path holds `mark`."""
    return lambda environ: status if environ["REQUEST_METHOD"] == method and mark in environ["PATH_INFO"] else None
