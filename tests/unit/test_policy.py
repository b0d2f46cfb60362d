"""core/policy.py: the rules of [storage-policy:N] sections (formats 1.1)."""

import pytest

from objstore.core.policy import Policies, Policy

GOLD = Policy(0, "gold", aliases=("yellow",), is_default=True)


def test_lookup_by_name_alias_and_index_text():
    policies = Policies([GOLD, Policy(2, "silver")])
    assert policies.by_name("GOLD") is policies.by_name("Yellow") is policies.by_index("0") is policies.default
    assert policies.by_index("2").name == "silver"
    assert policies.by_index("1") is None
    assert policies.by_index("x") is None
    assert policies.by_name("bronze") is None


def test_a_single_policy_is_the_default():
    assert Policies([Policy(0, "only")]).default.name == "only"
    assert Policies.single().default.name == "Policy-0"


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ([Policy(1, "one", is_default=True)], "index 0"),
        ([GOLD, Policy(1, "Gold")], "share a name"),
        ([GOLD, Policy(1, "silver", aliases=("YELLOW",))], "share a name"),
        ([Policy(0, "a"), Policy(1, "b")], "default"),
        ([GOLD, Policy(1, "b", is_default=True)], "2 storage policies"),
        ([Policy(0, "a", is_default=True, is_deprecated=True)], "both default and deprecated"),
    ],
)
def test_policies_refuse(policies, message):
    with pytest.raises(ValueError, match=message):
        Policies(policies)


def test_directories_of_policies():
    assert GOLD.directory("objects") == "objects"
    assert Policy(3, "x").directory("async_pending") == "async_pending-3"
    assert Policy(3, "x").ring_name == "object-3"
