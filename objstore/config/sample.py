"""The annotated samples in etc/, generated from the settings classes: python -m objstore.config.sample DIRECTORY

A sample shows every key, commented out, with its default; what stands uncommented is what a file needs at least. A test
compares the files with what is generated here.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from objstore.config import dispersion, drive_audit
from objstore.config.cluster import HashSettings, LimitSettings, PolicySettings
from objstore.config.factories import APP_GROUP, DAEMON_GROUP, FILTER_GROUP, Factories, installed
from objstore.config.server import ServerSettings
from objstore.config.settings import Settings
from objstore.config.settings import text as anything

_WIDTH = 118
_PROXY_FILTERS = (
    ("catch_errors", "catch_errors"),
    ("gatekeeper", "gatekeeper"),
    ("healthcheck", "healthcheck"),
    ("proxy-logging", "proxy_logging"),
    ("cache", "memcache"),
    ("listing_formats", "listing_formats"),
    ("container_sync", "container_sync"),
    ("bulk", "bulk"),
    ("tempurl", "tempurl"),
    ("formpost", "formpost"),
    ("ratelimit", "ratelimit"),
    ("tempauth", "tempauth"),
    ("staticweb", "staticweb"),
    ("copy", "copy"),
    ("container-quotas", "container_quotas"),
    ("account-quotas", "account_quotas"),
    ("slo", "slo"),
    ("dlo", "dlo"),
    ("versioned_writes", "versioned_writes"),
    ("symlink", "symlink"),
)
# Sections of the samples that their pipelines do not name: off until an operator puts them there.
_PROXY_OPTIONS = (
    ("authtoken", "authtoken"),
    ("keystoneauth", "keystoneauth"),
    ("ldapauth", "ldapauth"),
    ("cname_lookup", "cname_lookup"),
    ("crossdomain", "crossdomain"),
    ("domain_remap", "domain_remap"),
    ("etag_quoter", "etag_quoter"),
    ("list-endpoints", "list_endpoints"),
    ("name_check", "name_check"),
    ("read_only", "read_only"),
    ("xprofile", "xprofile"),
    ("keymaster", "keymaster"),
    ("kmip_keymaster", "kmip_keymaster"),
    ("kms_keymaster", "kms_keymaster"),
    ("encryption", "encryption"),
)
_STORAGE_KEYS = frozenset({"devices", "mount_check", "recon_cache_path"})
_STORAGE_FILTERS = (("healthcheck", "healthcheck"), ("recon", "recon"))
_STORAGE_OPTIONS = (("backend_ratelimit", "backend_ratelimit"), ("xprofile", "xprofile"))
# The name of a server's sample: its application's factory, and its filters as (name in the pipeline, factory).
_SERVERS = {
    "proxy-server": ("proxy", _PROXY_FILTERS),
    "account-server": ("account", _STORAGE_FILTERS),
    "container-server": ("container", _STORAGE_FILTERS),
    "object-server": ("object", _STORAGE_FILTERS),
}
_HEAD = """\
# {title}
# Generated from the settings classes (python -m objstore.config.sample etc); every key is shown with its default.
"""
_TITLES = {
    "proxy-server": "The proxy server: what clients talk to.",
    "account-server": "The account server of a storage node.",
    "container-server": "The container server of a storage node.",
    "object-server": "The object server of a storage node.",
    "dispersion": "What objstore-dispersion-populate and objstore-dispersion-report need.",
    "drive-audit": "What objstore-drive-audit looks for in the kernel's log.",
    "swift": "swift.conf: what all servers of a cluster share. The same file on every machine. Read as latin-1.",
}
_USERS = """
# user_<account>_<user> = <key> [group ...]
# user_admin_admin = a-long-random-key .admin
"""


def samples(known: Factories | None = None) -> dict[str, str]:
    """File name to text, for every sample."""
    factories = known or installed()
    texts = {f"{name}.conf-sample": _server(name, factories) for name in _SERVERS}
    texts["swift.conf-sample"] = _swift()
    texts["dispersion.conf-sample"] = _tool("dispersion", dispersion.SECTION, dispersion.DispersionSettings)
    texts["drive-audit.conf-sample"] = _tool("drive-audit", drive_audit.SECTION, drive_audit.DriveAuditSettings)
    return texts


def _server(name: str, factories: Factories) -> str:
    app, filters = _SERVERS[name]
    pipeline = [*(item for item, _ in filters), name]
    if name == "proxy-server":
        # Once outside, for what clients ask, and once inside, for what filters ask.
        pipeline.insert(-1, "proxy-logging")
    left_out = _STORAGE_KEYS if name == "proxy-server" else frozenset()
    parts = [_HEAD.format(title=_TITLES[name]), _section("DEFAULT", ServerSettings, left_out=left_out)]
    parts.append(f"[pipeline:main]\npipeline = {' '.join(pipeline)}\n")
    parts.append(_paste_section(f"app:{name}", app, factories.settings_class(APP_GROUP, app)))
    for item, factory in filters:
        parts.append(_paste_section(f"filter:{item}", factory, factories.settings_class(FILTER_GROUP, factory)))
    parts.append("# Filters that do nothing until the pipeline names them.\n")
    for item, factory in _PROXY_OPTIONS if name == "proxy-server" else _STORAGE_OPTIONS:
        parts.append(_paste_section(f"filter:{item}", factory, factories.settings_class(FILTER_GROUP, factory)))
    for daemon in factories.names(DAEMON_GROUP):
        if daemon.partition("-")[0] == app:
            settings = factories.settings_class(DAEMON_GROUP, daemon)
            parts.append(_section(daemon, settings or Settings))
    return "\n".join(parts)


def _tool(name: str, section: str, settings: type[Settings]) -> str:
    return "\n".join([_HEAD.format(title=_TITLES[name]), _section(section, settings)])


def _swift() -> str:
    head = _HEAD.format(title=_TITLES["swift"])
    policy = _section("storage-policy:0", PolicySettings)
    return "\n".join([head, _section("swift-hash", HashSettings), policy, _section("swift-constraints", LimitSettings)])


def _paste_section(section: str, factory: str, settings: type[Settings] | None) -> str:
    text = _section(section, settings or Settings, [f"use = egg:objstore#{factory}"])
    return text + _USERS if factory == "tempauth" else text


def _section(
    section: str, settings: type[Settings], lines: Sequence[str] = (), left_out: frozenset[str] = frozenset()
) -> str:
    """A section's text: what the class says of itself, `lines` as they are, then every key."""
    text = list(_comment(_own_doc(settings)))
    text += [f"[{section}]", *lines]
    fields = [item for item in settings.keys().values() if item.name not in left_out]
    text += _keys(item for item in fields if not item.metadata["advanced"])
    advanced = [item for item in fields if item.metadata["advanced"]]
    if advanced:
        text += ["", "# Seldom changed:", *_keys(iter(advanced))]
    return "\n".join(text) + "\n"


def _keys(fields: Iterator[dataclasses.Field[object]]) -> Iterator[str]:
    for item in fields:
        kind = item.metadata["kind"]
        expected = "" if kind is anything else f" Expected: {kind.expected}."
        yield from _comment(item.metadata["doc"] + expected)
        yield f"# {item.name} = {item.metadata['default']}".rstrip()


def _own_doc(settings: type[Settings]) -> str:
    """The docstring of a class; '' for the one that dataclass generates."""
    doc = settings.__doc__ or ""
    if settings is Settings or doc.startswith(f"{settings.__name__}("):
        return ""
    return inspect.cleandoc(doc).replace("\n", " ")


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(text, _WIDTH))


def main(argv: Sequence[str]) -> int:
    """Write all samples into a directory."""
    if len(argv) != 1:
        print("usage: python -m objstore.config.sample DIRECTORY", file=sys.stderr)
        return 2
    directory = Path(argv[0])
    directory.mkdir(exist_ok=True)
    for name, text in samples().items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
