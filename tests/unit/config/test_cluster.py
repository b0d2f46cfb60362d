import pytest

from objstore.config.cluster import load_cluster
from objstore.config.errors import ConfigError

SECRETS = "[swift-hash]\nswift_hash_path_prefix = pre\nswift_hash_path_suffix = suf\n"


def write(directory, text, encoding="utf-8"):
    (directory / "swift.conf").write_bytes(text.encode(encoding))
    return directory


def problems(directory):
    with pytest.raises(ConfigError) as raised:
        load_cluster(directory)
    return [str(problem) for problem in raised.value.problems]


def test_a_cluster_without_policy_sections_has_policy_0(tmp_path):
    cluster = load_cluster(write(tmp_path, SECRETS))
    assert cluster.secrets.hash_path("AUTH_test", "c0") == "8e29bd440b8300acc47320607d6feac0"
    assert [policy.name for policy in cluster.policies] == ["Policy-0"]
    assert cluster.limits.max_object_name_length == 1024


def test_a_secret_in_utf_8_keeps_its_bytes(tmp_path):
    cluster = load_cluster(write(tmp_path, "[swift-hash]\nswift_hash_path_suffix = grün%s\n"))
    assert cluster.secrets.suffix == "grün%s".encode()


def test_policies_are_read_with_aliases_and_default(tmp_path):
    text = SECRETS + "[storage-policy:0]\nname = gold\n[storage-policy:3]\nname=tin\naliases = a, b\ndefault = yes\n"
    policies = load_cluster(write(tmp_path, text)).policies
    assert policies.default.index == 3
    assert policies.by_name("B").ring_name == "object-3"


def test_limits_come_from_swift_constraints(tmp_path):
    cluster = load_cluster(write(tmp_path, SECRETS + "[swift-constraints]\nmax_file_size = 99\nmax_meta_count=7\n"))
    assert (cluster.limits.max_file_size, cluster.limits.max_meta_count) == (99, 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[swift-hash]\n", "swift_hash_path_suffix"),
        (SECRETS + "[storage-policy:1]\nname = gold\ndefault = yes\n", "index 0 must be defined"),
        (SECRETS + "[storage-policy:0]\nname = a\n[storage-policy:1]\nname = b\n", "0 storage policies say default"),
        (SECRETS + "[storage-policy:0]\nname = a_b\n", "letters, digits and dashes"),
        (SECRETS + "[storage-policy:x]\nname = a\n", "N a whole number"),
        (SECRETS + "[storage-policy:0]\nname = a\ndeprecate = no\n", "did you mean 'deprecated'?"),
        (
            SECRETS + "[storage-policy:0]\nname = a\npolicy_type = erasure_coding\nec_type = x\n",
            "erasure coding is not",
        ),
        (SECRETS + "[storage-policy:0]\nname = a\n[storage-policy:1]\nname=policy-0\n", "belongs to index 0"),
        (SECRETS + "[swift-constraints]\nmax_meta_count = many\n", "a whole number, 1 or more"),
    ],
    ids=range(9),
)
def test_what_is_wrong_is_said(tmp_path, text, said):
    assert any(said in line for line in problems(write(tmp_path, text)))


def test_all_problems_are_in_one_report_and_no_secret_is_shown(tmp_path):
    text = "[swift-hash]\nswift_hash_path_sufix = geheim\n[swift-constraints]\nmax_fil_size = 1\nmax_meta_count = -1\n"
    found = problems(write(tmp_path, text))
    assert len(found) == 4
    assert not any("geheim" in line for line in found)


def test_a_missing_file_is_one_problem(tmp_path):
    assert problems(tmp_path) == [
        f"{tmp_path}/swift.conf: expected a file that can be read (No such file or directory)"
    ]
