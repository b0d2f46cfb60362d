from pathlib import Path

import pytest

from objstore.config.cluster import load_cluster
from objstore.config.dispersion import load_dispersion
from objstore.config.drive_audit import load_drive_audit
from objstore.config.inifile import read_ini
from objstore.config.report import check
from objstore.config.sample import samples

ETC = Path(__file__).parents[3] / "etc"
SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_in_etc_are_what_the_settings_say(name):
    assert (ETC / name).read_text() == SAMPLES[name], "run: python -m objstore.config.sample etc"


SERVERS = [name for name in SAMPLES if name.endswith("-server.conf-sample")]
TOOLS = {"drive-audit.conf-sample": load_drive_audit, "dispersion.conf-sample": load_dispersion}


@pytest.mark.parametrize("name", SERVERS)
def test_a_sample_is_a_file_without_problems(name, tmp_path):
    path = tmp_path / name.replace("-sample", "")
    path.write_text(SAMPLES[name])
    assert check(read_ini(path)).problems == ()


@pytest.mark.parametrize("name", SERVERS)
def test_every_key_of_a_sample_may_be_uncommented(name, tmp_path):
    # A key that [DEFAULT] has as well is ignored in a section: that is noted, and no problem.
    assert [str(problem) for problem in check(read_ini(uncommented(name, tmp_path))).problems] == []


@pytest.mark.parametrize("name", TOOLS)
def test_every_key_of_a_tools_sample_may_be_uncommented(name, tmp_path):
    TOOLS[name](uncommented(name, tmp_path))


def uncommented(name, tmp_path):
    path = tmp_path / name.replace("-sample", "")
    lines = []
    for line in SAMPLES[name].split("\n"):
        key, equals, _ = line.removeprefix("# ").partition(" =")
        is_setting = line.startswith("# ") and equals and key.replace("_", "").isalnum() and key.islower()
        lines.append(line.removeprefix("# ") if is_setting and not key.startswith("user_<") else line)
    path.write_text("\n".join(lines))
    return path


def test_the_sample_of_swift_conf_needs_only_its_secrets(tmp_path):
    text = SAMPLES["swift.conf-sample"].replace("# swift_hash_path_suffix =", "swift_hash_path_suffix = s")
    (tmp_path / "swift.conf").write_text(text.replace("# name =", "name = gold"))
    assert [policy.name for policy in load_cluster(tmp_path).policies] == ["gold"]
