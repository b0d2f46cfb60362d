"""The pipeline that a daemon uses inside its process: what it must have, and what it must not."""

import pytest

from objstore.cli.assembly import internal_pipeline
from objstore.config.errors import ConfigError
from objstore.config.inifile import read_ini
from tests.support.storage_nodes import StorageNodes

ENCRYPTING = """
[pipeline:main]
pipeline = {filters} keymaster encryption proxy-server
[app:proxy-server]
use = egg:objstore#proxy
swift_dir = {folder}
[filter:slo]
use = egg:objstore#slo
[filter:keymaster]
use = egg:objstore#keymaster
encryption_root_secret = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
[filter:encryption]
use = egg:objstore#encryption
swift_dir = {folder}
"""


@pytest.fixture
def conf(tmp_path):
    with StorageNodes(tmp_path, nodes=1):  # For its rings and swift.conf.
        pass
    path = tmp_path / "internal-client.conf"
    path.write_text(f"[DEFAULT]\nswift_dir = {tmp_path}\n" + ENCRYPTING.format(filters="", folder=tmp_path))
    return path


def test_filters_that_the_daemon_needs_are_put_around_encryption(conf):
    assert internal_pipeline(read_ini(conf), conf.parent, str(conf), ("slo", "symlink"))


def test_a_daemon_that_moves_objects_as_they_are_gets_no_encryption(conf):
    with pytest.raises(ConfigError, match="encryption"):
        internal_pipeline(read_ini(conf), conf.parent, str(conf), without=("encryption",))
