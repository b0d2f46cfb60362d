"""dispersion.conf: what objstore-dispersion-populate and -report need. Names and defaults are Swift's (B5.7)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from objstore.config.errors import ConfigError, ConfigProblem, located
from objstore.config.inifile import read_ini
from objstore.config.settings import Kind, Settings, boolean, decimal, number, setting, text

SECTION = "dispersion"


def _version(value: str) -> str:
    if value not in ("1", "1.0"):
        raise ValueError("other versions need Keystone, which these tools do not speak")
    return value


_auth_version = Kind(_version, "1.0")


@dataclass(frozen=True)
class DispersionSettings(Settings):
    """The account should be one of its own, whose user may create containers with any policy."""

    auth_version: str = setting("1.0", _auth_version, "Version of the authentication.")
    auth_url: str = setting("http://localhost:8080/auth/v1.0", text, "Where tokens are given out.")
    auth_user: str = setting("dpstats:dpstats", text, "The user, as ACCOUNT:USER.")
    auth_key: str = setting("", text, "Its key.")
    swift_dir: str = setting("/etc/swift", text, "Where swift.conf and the rings are.")
    dispersion_coverage: float = setting("1.0", decimal(0, 100), "Percent of the partitions that get a sample.")
    retries: int = setting("5", number(0), "How often what failed is tried again.")
    concurrency: int = setting("25", number(1, 1000), "Requests at once.")
    container_populate: bool = setting("yes", boolean, "Populate makes containers.")
    object_populate: bool = setting("yes", boolean, "Populate makes objects.")
    container_report: bool = setting("yes", boolean, "The report is about containers.")
    object_report: bool = setting("yes", boolean, "The report is about objects.")
    dump_json: bool = setting("no", boolean, "The report is JSON.")
    endpoint_type: str = setting("publicURL", text, "Accepted for Swift's sake: of Keystone.", advanced=True)
    keystone_api_insecure: bool = setting("no", boolean, "Do not check the proxy's certificate.", advanced=True)


def load_dispersion(path: Path) -> DispersionSettings:
    """Raises ConfigError with everything that is wrong."""
    ini = read_ini(path)
    if SECTION not in ini.sections:
        raise ConfigError([ConfigProblem(str(path), "", "", "", f"a section [{SECTION}]")])
    settings, wrong = DispersionSettings.from_pairs(ini.own_pairs(SECTION))
    if wrong:
        raise ConfigError(located(wrong, str(path), SECTION))
    return settings
