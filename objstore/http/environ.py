"""The typed services and facts that travel in a WSGI environ, and nothing else may be put there by name.

Middleware never imports the proxy: what it needs of it stands here. Keys are module constants; accessors give types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from objstore.core.info import AccountInfo, ContainerInfo
from objstore.core.names import ClientPath, client_path

if TYPE_CHECKING:
    from objstore.http.body import TransferBody
    from objstore.http.request import Request
    from objstore.http.response import Response

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Any]

TRANSACTION_ID = "objstore.trans_id"
AUTHORIZE = "objstore.authorize"
"""Authorize: set by an auth filter, called by the proxy (or a filter) once it knows the container's ACL."""
AUTHORIZE_OVERRIDE = "objstore.authorize_override"
"""True: an earlier filter has authorized this request (temporary URLs, internal requests)."""
OWNER = "objstore.owner"
"""True: the user owns the account and may see and set its privileged headers."""
RESELLER = "objstore.reseller"
"""True: the user administers every account and may see how the system keeps a container."""
ACL = "objstore.acl"
"""The ACL text that applies, set just before AUTHORIZE is called; None when there is none."""
INFO = "objstore.info"
"""InfoService: there before the first filter of a pipeline (config.loader.load_app)."""
DELETIONS = "objstore.deletions"
"""DeletionService: there before the first filter, too."""
SMALL_OBJECTS = "objstore.small_objects"
"""SmallObjectService: there before the first filter of a pipeline in which it may be used; absent elsewhere."""
CACHE = "objstore.cache"
"""CacheService; absent when no cache filter is configured."""
TEMP_URL_PREFIX = "objstore.temp_url_prefix"
"""Text: a temporary URL has let this request through, and others of names that begin so in the same container."""
SYNCED = "objstore.synced"
"""True: another cluster brings what it has, with its own timestamps and without anybody's rights. The segments of a
manifest are looked at all the same, by the system; a static link is believed: it is checked whenever it is read."""
SOURCE = "objstore.source"
"""Short text: which filter made this subrequest; None for a client's own."""
FINISH = "objstore.finish"
"""list of Finish callbacks; the server calls them when the response is out or has failed."""
PATH = "objstore.path"
"""(PATH_INFO, ClientPath | None): the parse of client_path_of, valid while PATH_INFO is the same text."""
CONTENT_TYPE_PARAMETERS = "objstore.content_type_parameters"
"""What a filter has the proxy add to an object's content type, such as `;swift_bytes=5`: no client may say that."""
UPLOAD_FOOTERS = "objstore.upload_footers"
"""UploadFooters of an object PUT whose body a filter changes on its way; absent for most."""
KEYRING = "objstore.keyring"
"""What a keymaster has for the encryption behind it (middleware/encryption/keyring.Keyring)."""
REMOTE_USER = "REMOTE_USER"
RAW_TARGET = "objstore.raw_target"
"""The request target exactly as it came, as a WSGI string."""

Authorize = Callable[["Request"], "Response | None"]


@dataclass(slots=True)
class Outcome:
    """What the server knows once an exchange is over. Times in seconds, sizes in bytes of body."""

    status: int
    bytes_received: int
    bytes_sent: int
    elapsed_s: float
    first_byte_s: float
    is_complete: bool
    """False: the connection broke, or the body failed, before the response was out."""


Finish = Callable[[Outcome], None]


class InfoService(Protocol):
    """What middleware asks of the proxy. Answers come from the cache where it is valid."""

    def account(self, environ: Environ, account: str, *, fresh: bool = False) -> AccountInfo: ...

    def container(self, environ: Environ, account: str, container: str, *, fresh: bool = False) -> ContainerInfo:
        """fresh: as it is now. What a container holds changes without anybody bumping what is cached."""


class DeletionService(Protocol):
    """The expirer's queue, as middleware uses it."""

    def delete_later(self, environ: Environ, account: str, container: str, objects: Sequence[str]) -> bool:
        """Queue objects as they are now; whether a quorum of the queue's servers has every entry. Nobody is asked
        whether the client may delete them."""


class SmallObject(Protocol):
    """An object that somebody knows already. path: /version/account/container/object, a WSGI string; etag: without
    quotes."""

    @property
    def path(self) -> str: ...

    @property
    def etag(self) -> str: ...

    @property
    def size(self) -> int: ...


class SmallObjectService(Protocol):
    """Many small objects with less work than a GET of each."""

    most: int
    """How many are asked for at once."""
    most_bytes: int
    """Of one of them."""

    def collect(
        self, environ: Environ, objects: Sequence[SmallObject], *, source: str
    ) -> Sequence[bytes | memoryview | TransferBody | None]:
        """The body of each that whoever makes the request may read and that is what it is known to be: ETag, size, and
        no link or manifest. None for the others, whatever the reason: a GET finds out. Those that are still
        arriving are used in this order, raise BodyInterrupted when they break off, and are all closed."""


class UploadFooters(Protocol):
    """What belongs to an object and is known only once its body is: formats 6.6. A small body is read before anything
    is sent, and then these are headers like the others."""

    def footers(self) -> Mapping[str, str]:
        """Headers (names in title case) to store beside the request's own, of which they replace those of the same
        name. Asked once, when the body has been read to its end and before anything is committed. Raises WrongBody:
        nothing is stored, and the client hears 422."""


class CacheService(Protocol):
    """A cache of plain JSON values, shared where memcached is configured. It never raises: what it cannot do is a
    miss. Keys are text of any length."""

    @property
    def is_shared(self) -> bool:
        """Whether other workers and machines see what this one sets."""

    def get(self, key: str) -> Any:
        """The value, or None."""

    def set(self, key: str, value: Any, ttl_s: float = 0) -> None:
        """ttl_s 0: for as long as the cache sees fit."""

    def delete(self, key: str) -> None: ...

    def incr(self, key: str, delta: int = 1, ttl_s: float = 0) -> int | None:
        """Add to a counter that starts at 0 and never falls below it; the new count, or None when it cannot."""


def client_path_of(environ: Environ) -> ClientPath | None:
    """The names of the request, parsed once. Raises InvalidName when they are not UTF-8."""
    text = environ["PATH_INFO"]
    known = environ.get(PATH)
    if known is not None and known[0] is text:
        return cast("ClientPath | None", known[1])
    path = client_path(text)
    environ[PATH] = (text, path)
    return path


def on_finish(environ: Environ, callback: Finish) -> None:
    """Have the server call back at the end of this exchange. A subrequest shares its parent's list."""
    environ.setdefault(FINISH, []).append(callback)
