"""REPLICATE: the suffix hashes of a partition, or the order to compute some again. Source: formats 6.7."""

from __future__ import annotations

from objstore.core import pickles
from objstore.http.request import Request
from objstore.http.response import HTML, Response
from objstore.http.status import HTTPStatus
from objstore.object.context import ObjectContext
from objstore.storage.hashes import is_suffix
from objstore.storage.partitions import PartitionPlaces, is_partition


class ReplicateHandler:
    def __init__(self, context: ObjectContext, places: PartitionPlaces) -> None:
        self._context = context
        self._places = places

    def __call__(self, request: Request) -> Response:
        path = request.backend_path(2, 3)
        policy_index = self._context.policy_index(request)
        engine, threads = self._context.engine, self._context.threads
        value: dict[str, str] | None
        if path.account is None:
            value = threads.run(path.device, engine.hashes, path.device, policy_index, path.partition)
            if not value and is_partition(path.partition):
                # Who asks will bring what is missing, and rsync makes no directories above the partition.
                directory = self._places.path(path.device, policy_index, path.partition)
                threads.run(path.device, self._places.fs.make_directories, directory)
        else:
            suffixes = [text for text in path.account.split("-") if is_suffix(text)]
            threads.run(path.device, engine.invalidate, path.device, policy_index, path.partition, suffixes)
            value = None
        return Response(HTTPStatus.OK, {"content-type": HTML}, pickles.dumps(value))
