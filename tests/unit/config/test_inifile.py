from pathlib import Path

import pytest

from objstore.config.errors import ConfigError
from objstore.config.inifile import read_ini


@pytest.fixture
def ini(tmp_path):
    def write(text, name="a.conf"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_every_key_knows_its_file_and_line(ini):
    path = ini("# a comment\n[app:main]\n\nuse = egg:objstore#proxy\n")
    entry = read_ini(path).entries("app:main")["use"]
    assert (entry.value, entry.file, entry.line) == ("egg:objstore#proxy", path, 4)


def test_an_indented_line_continues_a_value(ini):
    read = read_ini(ini("[pipeline:main]\npipeline = a\n    b\n # not this\n\tc\nother: 1\n"))
    assert read.entries("pipeline:main")["pipeline"].value.split() == ["a", "b", "c"]
    assert read.entries("pipeline:main")["other"].value == "1"


def test_default_wins_over_a_section_unless_set_is_written(ini):
    read = read_ini(ini("[DEFAULT]\na = 1\nb = 1\nc = 1\n[app:main]\na = 2\nset b = 2\nd = 2\nc = 1\n"))
    assert read.pairs("app:main") == {"a": "1", "b": "2", "c": "1", "d": "2"}
    assert [(ignored.key, winner.value) for ignored, winner in read.shadowed("app:main")] == [("a", "1")]


def test_references_are_expanded_and_other_percent_signs_stay(ini):
    path = ini("[DEFAULT]\nname = x\n[a]\ndir = %(here)s/%(name)s\nkey = 100%\nodd = %(nothing)s\n")
    pairs = read_ini(path).pairs("a")
    assert pairs["dir"] == f"{path.parent}/x"
    assert (pairs["key"], pairs["odd"]) == ("100%", "%(nothing)s")


def test_a_directory_is_read_in_the_order_of_names(ini, tmp_path):
    ini("[DEFAULT]\na = 1\n[app:main]\nb = 1\n", "00.conf")
    ini("[app:main]\nb = 2\n[DEFAULT]\nc = %(here)s\n", "20.conf")
    ini("nonsense", "ignored.txt")
    read = read_ini(tmp_path)
    assert read.pairs("app:main") == {"a": "1", "b": "2", "c": str(tmp_path)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\n", "a.conf:1: expected [section] or key = value"),
        ("[a]\nb = 1\nb = 2\n", "a.conf:3: [a] b = '2': expected a key once (first on line 2)"),
        ("[a]\nword\n", "a.conf:2: [a] expected [section] or key = value (word)"),
    ],
    ids=["no section", "twice", "no value"],
)
def test_what_is_not_an_ini_file_is_refused_with_the_line(ini, text, said):
    with pytest.raises(ConfigError) as raised:
        read_ini(ini(text))
    assert said in str(raised.value)


def test_a_file_that_cannot_be_read_is_one_problem():
    with pytest.raises(ConfigError, match="No such file"):
        read_ini(Path("/nowhere/at/all.conf"))


def test_an_empty_directory_is_a_problem(tmp_path):
    with pytest.raises(ConfigError, match=r"at least one \*.conf file"):
        read_ini(tmp_path)
