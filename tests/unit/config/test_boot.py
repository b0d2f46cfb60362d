from dataclasses import dataclass

import pytest

from objstore.config.boot import settings_for
from objstore.config.errors import ConfigError
from objstore.config.settings import Settings, boolean, number, setting


@dataclass(frozen=True)
class Sample(Settings):
    mount_check: bool = setting("yes", boolean, "Whether devices must be mount points.")
    workers: int = setting("1", number(0), "Processes.")


def test_keys_of_default_reach_a_section_that_knows_them():
    settings = settings_for(Sample, {"mount_check": "no", "bind_port": "6200", "__file__": "x"}, {"workers": "3"})
    assert (settings.mount_check, settings.workers) == (False, 3)


def test_every_problem_is_raised_with_file_and_section(tmp_path):
    file = tmp_path / "object-server.conf"
    file.write_text("[app:object-server]\nuse = egg:objstore#object\nworker = 2\nmount_check = perhaps\n")
    with pytest.raises(ConfigError) as raised:
        settings_for(Sample, {"__file__": str(file)}, {"worker": "2", "mount_check": "perhaps"})
    assert [str(problem) for problem in raised.value.problems] == [
        f"{file}: [app:object-server] worker = '2': expected a known setting (did you mean 'workers'?)",
        f"{file}: [app:object-server] mount_check = 'perhaps': expected yes or no",
    ]
