"""middleware/pipeline.py: feature B4.15."""

import pytest

from objstore.middleware.pipeline import canonical, complete, innermost, problems


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("proxy-logging", "proxy_logging"), ("cache", "memcache"), ("egg:swift#copy", "copy"), ("proxy-server", "proxy")],
)
def test_names_have_one_meaning(name, meaning):
    assert canonical(name) == meaning


def test_encryption_stays_innermost_when_filters_are_inserted():
    full, _ = complete("tempauth keymaster encryption proxy-logging proxy".split())
    assert full[-5:] == ["symlink", "keymaster", "encryption", "proxy-logging", "proxy"]
    assert problems(full) == []


@pytest.mark.parametrize(
    ("names", "at"),
    [("slo proxy", 1), ("slo keymaster encryption proxy", 1), ("slo egg:swift#kms_keymaster encryption x proxy", 1)],
)
def test_encryption_and_its_keymaster_are_innermost(names, at):
    assert innermost(names.split()) == at


def test_a_complete_pipeline_is_left_alone():
    names = (
        "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats tempauth copy slo dlo "
        "versioned_writes symlink proxy-logging proxy"
    )
    assert complete(names.split()) == (names.split(), [])
    assert problems(names.split()) == []


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("proxy", "catch_errors gatekeeper listing_formats copy slo dlo versioned_writes symlink proxy"),
        (
            "healthcheck cache tempauth proxy-server",
            "catch_errors gatekeeper healthcheck cache listing_formats tempauth copy slo dlo versioned_writes symlink "
            "proxy-server",
        ),
        (
            "catch_errors proxy-logging cache tempauth proxy-logging proxy-server",
            "catch_errors gatekeeper proxy-logging cache listing_formats tempauth copy slo dlo versioned_writes "
            "symlink proxy-logging proxy-server",
        ),
    ],
)
def test_missing_mandatory_filters_are_inserted(given, full):
    names, notes = complete(given.split())
    assert names == full.split()
    assert len(notes) == len(names) - len(given.split()) and problems(names) == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("gatekeeper catch_errors proxy", "catch_errors must be the first"),
        ("catch_errors copy tempauth proxy", "tempauth must stand before copy"),
        ("catch_errors tempauth cache proxy", "memcache must stand before tempauth"),
        ("catch_errors proxy-logging gatekeeper proxy", "gatekeeper must stand before proxy_logging"),
        ("catch_errors gatekeeper copy copy proxy", "copy stands in the pipeline 2 times"),
        ("catch_errors slo copy proxy", "copy must stand before slo"),
        ("catch_errors copy symlink versioned_writes proxy", "versioned_writes must stand before symlink"),
        ("catch_errors copy keymaster encryption slo proxy", "slo must stand before encryption"),
        ("catch_errors symlink encryption keymaster proxy", "keymaster must stand before encryption"),
        ("catch_errors symlink encryption proxy", "encryption needs one of keymaster, kmip_keymaster"),
        ("catch_errors keymaster kmip_keymaster encryption proxy", "there are 2"),
        ("catch_errors cache keystoneauth authtoken copy proxy", "authtoken must stand before keystoneauth"),
        ("catch_errors cache authtoken tempauth keystoneauth proxy", "keystoneauth must stand before tempauth"),
        ("catch_errors authtoken cache keystoneauth proxy", "memcache must stand before authtoken"),
        ("catch_errors authtoken tempurl keystoneauth proxy", "tempurl must stand before authtoken"),
        ("catch_errors keystoneauth copy proxy", "keystoneauth needs authtoken in the pipeline"),
        ("catch_errors authtoken copy proxy", "authtoken needs keystoneauth in the pipeline"),
        ("", "empty"),
    ],
)
def test_a_wrong_order_is_reported(names, says):
    assert any(says in problem for problem in problems(names.split()))
