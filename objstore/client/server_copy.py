"""One object from one place of the account to another, without its bytes coming by here.

A static large object is copied segment by segment, and gets a manifest of its own: two objects never share segments, so
that deleting the one leaves the other whole. Segments that an earlier copy has put are not copied again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from objstore.client.account import Account
from objstore.client.errors import ClientError
from objstore.client.facts import Facts, look, pieces_of
from objstore.client.large import Piece, segments_prefix
from objstore.client.place import Place
from objstore.client.upload import Containers
from objstore.client.work import Done, Kind, Workers

_KEPT = ("content-type", "content-encoding", "content-disposition", "cache-control", "expires", "x-delete-at")
_META = "x-object-meta-"


class ServerCopier:
    def __init__(self, account: Account, workers: Workers, *, always: bool = False) -> None:
        self._account = account
        self._workers = workers
        self._always = always
        self._containers = Containers(account)

    def copy(self, source: Place, to: Place, there: Facts | None) -> Done:
        """there: what the destination is, as far as that is known. Raises ClientError."""
        facts = look(self._account, source)
        if facts is None:
            raise ClientError(f"{source}: no such object")
        if source == to:
            raise ClientError(f"{source}: onto itself")
        if there is not None and there.is_manifest and not there.is_sure:
            there = look(self._account, to)
        is_same = there is not None and bool(facts.etag) and _same(facts, there)
        if is_same and not facts.is_joined and not self._always:
            return Done(Kind.SKIPPED, str(source), str(to), facts.size_bytes)
        self._workers.progress.resize(facts.size_bytes)
        self._containers.ensure(to.container)
        etag = self._copy_large(source, to, facts) if facts.is_manifest else self._copy(source, to)
        is_verified = not facts.is_joined
        if is_verified and etag and etag != facts.etag:
            raise ClientError(f"{source}: it was changed while it was copied; copy it again")
        return Done(Kind.COPIED, str(source), str(to), facts.size_bytes, is_verified=is_verified)

    def _copy(self, source: Place, to: Place) -> str:
        """The ETag of what is there now."""
        with self._workers.slots:
            return self._account.copy(source.path, to.path)

    def _copy_large(self, source: Place, to: Place, facts: Facts) -> str:
        pieces = pieces_of(self._account, source)
        segments = to.segments_container
        self._containers.ensure(segments, like=to.container)
        prefix = f"{segments_prefix(to.name)}copy-{facts.etag}/"
        there = {
            row.name: (row.size_bytes, row.etag)
            for row in self._account.objects(segments, prefix, is_unseen_empty=True)
        }
        paths = dict.fromkeys(piece.path for piece in pieces if piece.path)
        names = {path: f"{prefix}{index:08d}" for index, path in enumerate(paths)}
        wanted = {piece.path: piece for piece in pieces if piece.path}

        def one(piece: Piece) -> tuple[str, str]:
            """The path of a segment, and the ETag of its copy."""
            size, etag = (piece.entry or {})["size_bytes"], (piece.entry or {})["etag"]
            if not piece.is_manifest and there.get(names[piece.path]) == (size, etag):
                return piece.path, str(etag)
            new = self._account.copy(piece.path, Place(segments, names[piece.path]).path)
            # A manifest within the manifest is joined into an object of its own, with an ETag of its own.
            if new != etag and not piece.is_manifest:
                raise ClientError(f"{source}: a segment was changed while it was copied; copy it again")
            return piece.path, new

        etags = dict(self._workers.pieces(list(wanted.values()), one))
        entries = [_moved(piece, names, etags, segments) for piece in pieces]
        query = {"multipart-manifest": "put"}
        answer = self._account.put(to.path, json.dumps(entries).encode(), _headers(facts), query)
        is_same = not any(piece.is_manifest for piece in pieces)
        return answer.headers.get("etag", "").strip('"') if is_same else ""


def _same(one: Facts, other: Facts) -> bool:
    return (one.size_bytes, one.etag) == (other.size_bytes, other.etag)


def _moved(piece: Piece, names: Mapping[str, str], etags: Mapping[str, str], segments: str) -> dict[str, object]:
    """An entry of the new manifest."""
    entry = dict(piece.entry or {})
    if piece.path:
        entry.update(path=Place(segments, names[piece.path]).path, etag=etags[piece.path])
    return entry


def _headers(facts: Facts) -> dict[str, str]:
    headers = facts.headers or {}
    return {name: value for name, value in headers.items() if name in _KEPT or name.startswith(_META)}
