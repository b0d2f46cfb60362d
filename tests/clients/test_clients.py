"""swift and rclone against a cluster; the long tier kills a storage node in mid-upload."""

import pytest

from tests.clients.scenario import FULL, SMALL, run

pytestmark = pytest.mark.cluster


def test_swift_and_rclone_keep_every_byte_and_every_name(tools, tmp_path):
    run(tools, tmp_path, SMALL, print)


@pytest.mark.long
def test_swift_and_rclone_keep_3000_files_and_1_gib_with_a_node_down(tools, tmp_path):
    run(tools, tmp_path, FULL, print)
