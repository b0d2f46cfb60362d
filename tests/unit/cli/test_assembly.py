"""The pipeline that a daemon uses inside its process, with the filters that it cannot do without."""

import pytest

from objstore.cli import assembly
from objstore.config.inifile import read_ini
from objstore.ring.fileformat import save
from tests.support.rings import make_ring

PROXY = "[app:proxy-server]\nuse = egg:objstore#proxy\n"


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n")
    for ring in ("account", "container", "object"):
        save(make_ring(), tmp_path / f"{ring}.ring.gz")
    (tmp_path / "container-server.conf").write_text("[app:container-server]\nuse = egg:objstore#container\n")
    return tmp_path


def names_of(etc, text, filters):
    """The pipeline line of an internal-client.conf, once completed."""
    (etc / "internal-client.conf").write_text(text)
    full = assembly._with_filters(read_ini(etc / "internal-client.conf"), filters)
    return full.entries("pipeline:main")["pipeline"].value.split(), full


@pytest.mark.parametrize(
    ("pipeline", "full"),
    [
        ("catch_errors proxy-server", "catch_errors slo symlink proxy-server"),
        ("symlink proxy-server", "slo symlink proxy-server"),
        ("slo proxy-server", "slo symlink proxy-server"),
        (
            "catch_errors keymaster encryption proxy-server",
            "catch_errors slo symlink keymaster encryption proxy-server",
        ),
        ("slo egg:swift#symlink proxy-server", "slo egg:swift#symlink proxy-server"),
    ],
)
def test_a_file_that_lacks_a_filter_gets_it(etc, pipeline, full):
    sections = "".join(f"[filter:{name}]\nuse = egg:objstore#{name}\n" for name in ("catch_errors", "keymaster"))
    text = f"[DEFAULT]\nswift_dir = {etc}\n[pipeline:main]\npipeline = {pipeline}\n{PROXY}{sections}"
    names, ini = names_of(etc, text, ("slo", "symlink"))
    assert names == full.split()
    assert all(f"filter:{name}" in ini.sections for name in names[:-1] if name not in pipeline)


@pytest.mark.parametrize("filters", [(), ("slo", "symlink")])
def test_without_a_file_the_proxy_has_these_filters_alone(etc, filters):
    ini = read_ini(etc / "container-server.conf")
    app = assembly.internal_pipeline(ini, etc, "", filters)
    assert callable(app)
