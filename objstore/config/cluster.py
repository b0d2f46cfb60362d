"""swift.conf: the hash secrets, the storage policies and the limits that every server of a cluster shares.

Read as latin-1, so that a secret in any encoding keeps its bytes. Source: formats 1.1.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import IniFile, read_ini
from objstore.config.settings import Settings, boolean, choice, names, number, setting, text
from objstore.core.hashing import HashSecrets
from objstore.core.limits import Limits
from objstore.core.policy import LEGACY_INDEX, LEGACY_NAME, Policies, Policy

FILE_NAME = "swift.conf"
HASH_SECTION = "swift-hash"
LIMITS_SECTION = "swift-constraints"
POLICY_SECTION = re.compile(r"storage-policy:(?P<index>\d+)")
_POLICY_NAME = re.compile(r"[A-Za-z0-9-]+")
_DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Cluster:
    """What swift.conf says, and where it was found (the rings lie beside it)."""

    swift_dir: Path
    secrets: HashSecrets
    policies: Policies
    limits: Limits


@dataclass(frozen=True)
class HashSettings(Settings):
    """[swift-hash]: never change these once there is data."""

    swift_hash_path_prefix: str = setting("", text, "Put before every path that is hashed. Secret.")
    swift_hash_path_suffix: str = setting("", text, "Put after every path that is hashed. Secret.")


@dataclass(frozen=True)
class PolicySettings(Settings):
    """[storage-policy:N]: one section per policy; N is what is stored on disk and must never be used again."""

    name: str = setting("", text, "What clients say in X-Storage-Policy: letters, digits and dashes.")
    aliases: tuple[str, ...] = setting("", names, "Other names for the same policy.")
    policy_type: str = setting("replication", choice("replication", "erasure_coding"), "How copies are kept.")
    default: bool = setting("no", boolean, "The policy of containers that ask for none. One policy has it.")
    deprecated: bool = setting("no", boolean, "No new containers; what is there stays readable and writable.")
    diskfile_module: str = setting("", text, "The storage engine: empty or egg:swift#replication.fs.", advanced=True)


@dataclass(frozen=True)
class LimitSettings(Settings):
    """[swift-constraints]: the same on every server; clients see them in /info."""

    max_file_size: int = setting(str(_DEFAULT_LIMITS.max_file_size), number(1), "Bytes of one object.")
    max_meta_name_length: int = setting("128", number(1), "Bytes of one metadata name.")
    max_meta_value_length: int = setting("256", number(1), "Bytes of one metadata value.")
    max_meta_count: int = setting("90", number(1), "Metadata items of an object, container or account.")
    max_meta_overall_size: int = setting("4096", number(1), "Bytes of all its metadata names and values.")
    max_header_size: int = setting("8192", number(1), "Bytes of one header line.")
    max_object_name_length: int = setting("1024", number(1), "Bytes of an object's name.")
    max_container_name_length: int = setting("256", number(1), "Bytes of a container's name.")
    max_account_name_length: int = setting("256", number(1), "Bytes of an account's name.")
    container_listing_limit: int = setting("10000", number(1), "Most rows of one page of objects.")
    account_listing_limit: int = setting("10000", number(1), "Most rows of one page of containers.")
    extra_header_count: int = setting("0", number(0), "Headers allowed beyond those the limits above need.")
    valid_api_versions: tuple[str, ...] = setting("v1,v1.0", names, "What a path may begin with.", advanced=True)
    auto_create_account_prefix: str = setting(
        ".", text, "First character of accounts that the cluster makes for itself. Leave it.", advanced=True
    )

    def limits(self) -> Limits:
        fields = {item.name for item in dataclasses.fields(Limits)}
        return Limits(**{name: getattr(self, name) for name in fields})


def load_cluster(swift_dir: Path) -> Cluster:
    """Read swift.conf of a directory. Raises ConfigError with everything that is wrong in it."""
    path = swift_dir / FILE_NAME
    ini = read_ini(path, encoding="latin-1")
    problems: list[ConfigProblem] = []
    secrets = _secrets(ini, problems)
    policies = _policies(ini, problems)
    limits, wrong = LimitSettings.from_pairs(_pairs(ini, LIMITS_SECTION))
    problems += located(wrong, str(path), LIMITS_SECTION)
    if problems or secrets is None or policies is None:
        raise ConfigError(problems)
    return Cluster(swift_dir, secrets, policies, limits.limits())


def _pairs(ini: IniFile, section: str) -> dict[str, str]:
    return {key: entry.value for key, entry in ini.entries(section).items()}


def _secrets(ini: IniFile, problems: list[ConfigProblem]) -> HashSecrets | None:
    settings, wrong = HashSettings.from_pairs(_pairs(ini, HASH_SECTION))
    problems += located(wrong, str(ini.path), HASH_SECTION)
    try:
        return HashSecrets(
            settings.swift_hash_path_prefix.encode("latin-1"), settings.swift_hash_path_suffix.encode("latin-1")
        )
    except ValueError:
        problems.append(
            ConfigProblem(
                str(ini.path),
                HASH_SECTION,
                "swift_hash_path_suffix",
                "",
                "a secret in it or in swift_hash_path_prefix",
                "the same on every server of the cluster, and never changed",
            )
        )
        return None


def _policies(ini: IniFile, problems: list[ConfigProblem]) -> Policies | None:
    before = len(problems)
    policies = []
    for section in ini.sections:
        if not section.startswith("storage-policy"):
            continue
        found = _policy(ini, section, problems)
        if found is not None:
            policies.append(found)
    if len(problems) > before:
        return None
    try:
        return Policies(policies) if policies else Policies.single()
    except ValueError as error:
        problems.append(ConfigProblem(str(ini.path), "storage-policy:*", "", "", "consistent policies", str(error)))
        return None


def _policy(ini: IniFile, section: str, problems: list[ConfigProblem]) -> Policy | None:
    match = POLICY_SECTION.fullmatch(section)
    if match is None:
        problems.append(ConfigProblem(str(ini.path), section, "", "", "[storage-policy:N], N a whole number"))
        return None
    pairs = _pairs(ini, section)
    if pairs.get("policy_type", "").lower() == "erasure_coding":
        problems.append(
            ConfigProblem(
                str(ini.path), section, "policy_type", "erasure_coding", "replication",
                "erasure coding is not served by this version",
            )
        )  # fmt: skip
        return None
    settings, wrong = PolicySettings.from_pairs(pairs)
    problems += located(wrong, str(ini.path), section)
    index = int(match["index"])
    problems += [ConfigProblem(str(ini.path), section, *problem) for problem in _name_problems(settings, index)]
    return Policy(index, settings.name, settings.aliases, settings.default, settings.deprecated, settings.policy_type)


def _name_problems(settings: PolicySettings, index: int) -> list[tuple[str, str, str]]:
    """(key, value, expected) of what is wrong with a policy's names and engine."""
    wrong = []
    for key, name in (("name", settings.name), *(("aliases", alias) for alias in settings.aliases)):
        if not _POLICY_NAME.fullmatch(name):
            wrong.append((key, name, "letters, digits and dashes"))
        elif name.lower() == LEGACY_NAME.lower() and index != LEGACY_INDEX:
            wrong.append((key, name, f"another name: {LEGACY_NAME} belongs to index {LEGACY_INDEX}"))
    if settings.diskfile_module not in ("", "egg:swift#replication.fs", "egg:objstore#replication.fs"):
        wrong.append(("diskfile_module", settings.diskfile_module, "nothing, or egg:swift#replication.fs"))
    return wrong
