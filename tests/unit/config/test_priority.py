import pytest

from objstore.config.priority import PrioritySettings
from objstore.config.server import ServerSettings
from objstore.daemon.settings import DaemonSettings


@pytest.mark.parametrize("settings_class", [ServerSettings, DaemonSettings])
def test_servers_and_daemons_know_them(settings_class):
    pairs = {"nice_priority": "-5", "ionice_class": "ioprio_class_idle", "ionice_priority": "7"}
    settings, problems = settings_class.from_pairs(pairs)
    assert (settings.nice_priority, settings.ionice_class, settings.ionice_priority, problems) == (-5, 3, 7, [])


def test_nothing_is_said_by_default():
    settings = PrioritySettings()
    assert (settings.nice_priority, settings.ionice_class, settings.ionice_priority) == (None, None, None)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("nice_priority", "20", "a whole number from -20 to 19"),
        ("nice_priority", "low", "a whole number"),
        ("ionice_class", "best-effort", "IOPRIO_CLASS_BE"),
        ("ionice_priority", "8", "from 0 to 7"),
    ],
)
def test_a_wrong_value_is_named(key, value, expected):
    (problem,) = PrioritySettings.from_pairs({key: value})[1]
    assert (problem.key, problem.value) == (key, value)
    assert expected in problem.expected
