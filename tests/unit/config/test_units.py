from pathlib import Path

import pytest

from objstore.config.factories import DAEMON_GROUP, installed
from objstore.config.units import NODE_TARGET, units

ROOT = Path(__file__).parents[3]
UNITS = units()


@pytest.mark.parametrize("name", UNITS)
def test_the_units_in_etc_are_what_the_code_says(name):
    assert (ROOT / "etc" / "systemd" / name).read_text() == UNITS[name], (
        "run: python -m objstore.config.units etc/systemd"
    )


def test_there_are_no_units_of_what_does_not_exist():
    assert {path.name for path in (ROOT / "etc" / "systemd").iterdir()} == set(UNITS)


@pytest.mark.parametrize("name", [name for name in UNITS if name != NODE_TARGET])
def test_a_unit_starts_a_command_that_is_there(name):
    command = name.removesuffix(".service")
    assert (ROOT / "bin" / command).is_file()
    place = "/var/lib/objstore\n" if command == "objstore-agent" else "/etc/swift/"
    assert f"ExecStart=/opt/objstore/bin/{command} {place}" in UNITS[name]


def test_the_agent_is_as_hardened_as_the_others_and_waits_for_a_join():
    hardening = {line for line in UNITS["objstore-object-server.service"].splitlines() if line.partition("=")[2] != ""}
    own = set(UNITS["objstore-agent.service"].splitlines())
    assert {line.partition("=")[0] for line in hardening - own if line[0] != "#"} == {
        "Description",
        "ExecStart",
        "TimeoutStopSec",
        "ReadWritePaths",
        "CacheDirectory",
    }
    assert "ConditionPathExists=/var/lib/objstore/etc/cluster.json" in own


def test_the_node_is_its_servers_and_all_its_daemons_and_no_proxy():
    wants = {line.removeprefix("Wants=") for line in UNITS[NODE_TARGET].splitlines() if line.startswith("Wants=")}
    roles = {"object-server", "container-server", "account-server", "agent", *installed().names(DAEMON_GROUP)}
    assert wants == {f"objstore-{role}.service" for role in roles}
