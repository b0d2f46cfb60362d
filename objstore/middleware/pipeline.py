"""Which filters a proxy pipeline must have, and in which order: pure rules about names.

Called while the ini file is loaded, before anything is built. Names are those of the pipeline line; `proxy-logging`,
`proxy_logging` and `egg` names mean the same filter, and `cache` is Swift's name for memcache. Source: feature B4.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ALIASES = {"cache": "memcache", "proxy_server": "proxy"}
_AUTH = ("tempauth", "ldapauth", "keystoneauth", "authtoken", "s3api", "s3token", "tempurl", "formpost", "staticweb")
_BEFORE_COPY = ("catch_errors", "gatekeeper", "proxy_logging", "memcache", "listing_formats", *_AUTH)
KEYMASTERS = ("keymaster", "kmip_keymaster", "kms_keymaster")
_MAY_REPEAT = frozenset({"proxy_logging"})


@dataclass(frozen=True, slots=True)
class Mandatory:
    """A filter without which answers are wrong or unsafe. It goes right behind the last of `after` that is there."""

    name: str
    after: tuple[str, ...]
    why: str


MANDATORY = (
    Mandatory("catch_errors", (), "every answer needs a transaction id, and no exception may reach a client"),
    Mandatory("gatekeeper", ("catch_errors",), "without it clients could send the cluster's own headers"),
    Mandatory(
        "listing_formats",
        ("catch_errors", "gatekeeper", "healthcheck", "proxy_logging", "memcache"),
        "without it every listing is JSON",
    ),
    Mandatory(
        "copy",
        _BEFORE_COPY,
        "without it COPY and X-Copy-From are ignored",
    ),
    Mandatory("slo", (*_BEFORE_COPY, "copy"), "without it a manifest would be stored and read as plain data"),
    Mandatory("dlo", (*_BEFORE_COPY, "copy", "slo"), "without it X-Object-Manifest would be stored and never followed"),
    Mandatory(
        "versioned_writes",
        (*_BEFORE_COPY, "copy", "slo", "dlo"),
        "without it versions that were asked for would be lost by the next PUT",
    ),
    Mandatory(
        "symlink",
        (*_BEFORE_COPY, "copy", "slo", "dlo", "versioned_writes"),
        "without it links would read as empty objects",
    ),
)

# (earlier, later, why): both in the pipeline, in this order.
_ORDER = (
    ("gatekeeper", "proxy_logging", "headers must be cleaned before anything reads them"),
    ("gatekeeper", "memcache", "headers must be cleaned before anything reads them"),
    ("gatekeeper", "listing_formats", "headers must be cleaned before anything reads them"),
    ("gatekeeper", "tempauth", "headers must be cleaned before anything reads them"),
    ("gatekeeper", "ldapauth", "headers must be cleaned before anything reads them"),
    ("gatekeeper", "authtoken", "headers must be cleaned before anything reads them"),
    ("gatekeeper", "copy", "headers must be cleaned before anything reads them"),
    ("memcache", "authtoken", "what Keystone said is kept in the cache"),
    ("authtoken", "keystoneauth", "who asks is found out before it is judged"),
    ("keystoneauth", "tempauth", "accounts that are no project's are left to tempauth behind it"),
    ("keystoneauth", "ldapauth", "accounts that are no project's are left to tempauth behind it"),
    ("tempurl", "authtoken", "a link needs no token"),
    ("formpost", "authtoken", "a signed form needs no token"),
    ("container_sync", "authtoken", "what another cluster signs needs no token"),
    ("bulk", "authtoken", "what a bulk request asks for is authorized one by one"),
    ("memcache", "tempauth", "tokens and users are looked up in the cache"),
    ("listing_formats", "copy", "listings are converted at the edge"),
    ("cname_lookup", "domain_remap", "an alias stands for a host that domain_remap knows"),
    ("cname_lookup", "listing_formats", "a listing is known by its path"),
    ("domain_remap", "listing_formats", "a listing is known by its path"),
    ("listing_formats", "staticweb", "pages are made of listings in JSON"),
    ("bulk", "tempauth", "what a bulk request asks for is authorized one by one"),
    ("bulk", "ldapauth", "what a bulk request asks for is authorized one by one"),
    ("bulk", "keystoneauth", "what a bulk request asks for is authorized one by one"),
    ("container_sync", "tempauth", "what another cluster signs needs no token"),
    ("container_sync", "ldapauth", "what another cluster signs needs no token"),
    ("container_sync", "keystoneauth", "what another cluster signs needs no token"),
    ("tempurl", "tempauth", "a link is its own authorization"),
    ("tempurl", "ldapauth", "a link is its own authorization"),
    ("tempurl", "keystoneauth", "a link is its own authorization"),
    ("formpost", "tempauth", "a signed form is its own authorization"),
    ("formpost", "ldapauth", "a signed form is its own authorization"),
    ("formpost", "keystoneauth", "a signed form is its own authorization"),
    ("tempauth", "staticweb", "a site is for who comes without a token"),
    ("ldapauth", "staticweb", "a site is for who comes without a token"),
    ("keystoneauth", "staticweb", "a site is for who comes without a token"),
    ("tempauth", "list_endpoints", "only the auth filter knows who is a reseller administrator"),
    ("keystoneauth", "list_endpoints", "only the auth filter knows who is a reseller administrator"),
    ("tempauth", "xprofile", "only the auth filter knows who is a reseller administrator"),
    ("keystoneauth", "xprofile", "only the auth filter knows who is a reseller administrator"),
    ("tempauth", "account_quotas", "quotas are set by who the auth filter says is a reseller administrator"),
    ("ldapauth", "account_quotas", "quotas are set by who the auth filter says is a reseller administrator"),
    ("keystoneauth", "account_quotas", "quotas are set by who the auth filter says is a reseller administrator"),
    ("copy", "container_quotas", "a copy counts by the size of its source"),
    ("copy", "account_quotas", "a copy counts by the size of its source"),
    ("tempauth", "copy", "a copy is authorized on both sides by what the auth filter left"),
    ("ldapauth", "copy", "a copy is authorized on both sides by what the auth filter left"),
    ("keystoneauth", "copy", "a copy is authorized on both sides by what the auth filter left"),
    ("bulk", "read_only", "what a bulk request writes is written one by one"),
    ("slo", "read_only", "deleting a large object deletes segments, which may lie elsewhere"),
    ("copy", "slo", "a copy of a large object is a copy of what it reads as"),
    ("copy", "versioned_writes", "what a copy replaces has to become a version"),
    ("slo", "versioned_writes", "a version of a large object is its manifest"),
    ("dlo", "versioned_writes", "a version of a large object is its manifest"),
    ("versioned_writes", "symlink", "the current version is a link"),
    *(
        (name, "encryption", "what it reads and writes has to be plain text")
        for name in ("bulk", "staticweb", "copy", "slo", "dlo", "versioned_writes", "symlink")
    ),
    *((name, "encryption", "encryption takes its keys from what stands before it") for name in KEYMASTERS),
)

# (filter, what it cannot do without, why)
_NEEDS = (
    ("keystoneauth", "authtoken", "without it nobody says who asks, and everybody is refused"),
    ("authtoken", "keystoneauth", "without it nobody judges what the user of a token may do"),
)


def canonical(name: str) -> str:
    """The filter a name of the pipeline line means: 'proxy-logging' -> 'proxy_logging', 'cache' -> 'memcache'."""
    name = name.rpartition("#")[2].replace("-", "_")
    return _ALIASES.get(name, name)


def complete(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The pipeline with what is missing inserted, and one note for each insertion. names ends with the application."""
    full, notes = list(names), []
    for filter_ in MANDATORY:
        known = _outside([canonical(name) for name in full[:-1]])
        if filter_.name in known:
            continue
        position = max((index + 1 for index, name in enumerate(known) if name in filter_.after), default=0)
        full.insert(position, filter_.name)
        before = full[position - 1] if position else "the client"
        notes.append(f"{filter_.name}: missing from the pipeline, inserted after {before}; {filter_.why}")
    return full, notes


def problems(names: Sequence[str]) -> list[str]:
    """What is wrong with the order of a complete pipeline; empty when nothing is."""
    known = [canonical(name) for name in names]
    found = []
    if not known:
        return ["the pipeline is empty; it must end with the proxy-server application"]
    if known[0] != "catch_errors" and "catch_errors" in known:
        found.append("catch_errors must be the first filter, or what fails before it has no transaction id")
    for name in sorted({name for name in known if known.count(name) > 1 and name not in _MAY_REPEAT}):
        found.append(f"{name} stands in the pipeline {known.count(name)} times; once is right")
    masters = [name for name in KEYMASTERS if name in known]
    if "encryption" in known and len(masters) != 1:
        found.append(f"encryption needs one of {', '.join(KEYMASTERS)} before it; there are {len(masters)}")
    for earlier, later, why in _ORDER:
        if earlier in known and later in known and known.index(earlier) > known.index(later):
            found.append(f"{earlier} must stand before {later}: {why}")
    for name, needed, why in _NEEDS:
        if name in known and needed not in known:
            found.append(f"{name} needs {needed} in the pipeline: {why}")
    return found


def innermost(names: Sequence[str]) -> int:
    """Where encryption and its keymaster begin, else where the application stands. names ends with that."""
    sealed = (*KEYMASTERS, "encryption")
    return next((index for index, name in enumerate(names) if canonical(name) in sealed), len(names) - 1)


def _outside(known: list[str]) -> list[str]:
    """The filters without those that stay innermost: encryption and its keymaster, and a second proxy-logging right
    before the application, which logs what filters ask."""
    at = innermost([*known, ""])
    if at < len(known):
        return known[:at]
    return known[:-1] if known.count("proxy_logging") > 1 and known[-1] == "proxy_logging" else known
