"""What `objstore up` prints when a cluster is ready: where it is, who may use it, lines that work as printed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from objstore.cli.user_file import UserFile
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.servers import ServerFile, read_server
from objstore.config.errors import ConfigError
from objstore.middleware.tempauth_users import User
from objstore.runtime.fs import Fs
from objstore.runtime.listen import shown

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def banner(
    directory: ClusterDirectory, environ: Mapping[str, str], *, shows_key: bool, is_detached: bool
) -> Iterator[str]:
    """Lines. Without shows_key the key is not among them: the lines to paste ask for it when they are run."""
    command = _command(environ)
    stop = f"{command} down {shlex.quote(str(directory.root))}" if is_detached else "Ctrl-C"
    yield f"ready: {directory.root} (stop it with: {stop})"
    if not directory.has_proxy:
        return
    server = read_server(directory.proxy_conf, "proxy-server", "-")
    url = endpoint(server)
    user = first_user(directory)
    yield ""
    yield f"  endpoint   {url}"
    if user is None:
        return
    auth = f"{url}/auth/v1.0"
    ask = f"{command} user key {shlex.quote(str(directory.root))} {shlex.quote(user.identity)}"
    yield f"  auth URL   {auth}"
    yield f"  account    AUTH_{user.account}"
    yield f"  user       {user.identity}"
    yield f"  key        {user.key}" if shows_key else f"  key        (not a terminal; show it with: {ask})"
    yield ""
    yield f"  {command} ls --cluster {shlex.quote(str(directory.root))}"
    yield from _lines_to_paste(auth, user, shlex.quote(user.key) if shows_key else f'"$({ask})"')


def endpoint(server: ServerFile) -> str:
    """The URL of the proxy, as a client on this machine reaches it."""
    host, port = server.address
    scheme = "https" if server.settings.cert_file else "http"
    return f"{scheme}://{shown((_ANYWHERE.get(host, host), port))}"


def first_user(directory: ClusterDirectory) -> User | None:
    """The first user in the proxy's file; None when it has no tempauth."""
    try:
        users = UserFile.open(directory.proxy_conf, Fs()).users()
    except ConfigError:
        return None
    return users[0] if users else None


def _lines_to_paste(auth: str, user: User, key: str) -> Iterator[str]:
    name = shlex.quote(user.identity)
    yield f"  curl -i -H X-Storage-User:{name} -H X-Storage-Pass:{key} {auth}"
    yield f"  swift -A {auth} -U {name} -K {key} stat"
    yield f"  rclone --swift-auth {auth} --swift-user {name} --swift-key {key} lsd :swift:"


def _command(environ: Mapping[str, str]) -> str:
    """The objstore that was called, by a path that works from any directory."""
    return shlex.quote(environ.get("OBJSTORE_COMMAND", "objstore"))
