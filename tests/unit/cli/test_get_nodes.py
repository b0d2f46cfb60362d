"""objstore-get-nodes: the order of a reference ring, what it prints, and what it refuses."""

import gzip
import io
import json
import shlex
import shutil
from pathlib import Path

import pytest

from objstore.cli.get_nodes import main

RINGS = Path(__file__).parents[2] / "vectors" / "rings"
SWIFT_CONF = "[swift-hash]\nswift_hash_path_prefix = p\nswift_hash_path_suffix = s\n" + "".join(
    f"[storage-policy:{index}]\nname = {name}\ndefault = {'yes' if index == 0 else 'no'}\n"
    for index, name in enumerate(("gold", "silver"))
)


@pytest.fixture
def swift_dir(tmp_path):
    for name in ("account", "container", "object", "object-1"):
        shutil.copy(RINGS / "four-devices.ring.gz", tmp_path / f"{name}.ring.gz")
    (tmp_path / "swift.conf").write_text(SWIFT_CONF)
    return tmp_path


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in words], stdout=out, stderr=err, environ={})
    return code, out.getvalue(), err.getvalue()


def of(*words):
    code, output, error = run(*words, "--json")
    assert code == 0, error
    return json.loads(output)


@pytest.mark.parametrize("name", ["four-devices", "three-regions-fractional"])
def test_primaries_and_handoffs_are_those_of_the_reference(tmp_path, name):
    ring = shutil.copy(RINGS / f"{name}.ring.gz", tmp_path / "object.ring.gz")
    expected = json.loads(gzip.decompress((RINGS / f"{name}.nodes.json.gz").read_bytes()))["parts"]
    for partition in list(expected)[::16]:
        nodes = of(ring, "-p", partition, "--all")["nodes"]
        assert [node["id"] for node in nodes] == expected[partition]["primaries"] + expected[partition]["handoffs"]


@pytest.mark.parametrize(
    "words",
    [["AUTH_a", "c", "o/p"], ["AUTH_a/c/o/p"], ["/AUTH_a/c/o/p"], ["/v1/AUTH_a/c/o/p"]],
    ids=["three words", "a path", "with a slash", "of a URL"],
)
def test_a_name_is_given_as_words_or_as_a_path(swift_dir, words):
    found = of(swift_dir / "object.ring.gz", *words)
    assert (found["account"], found["container"], found["object"]) == ("AUTH_a", "c", "o/p")
    assert len(found["hash"]) == 32 and found["nodes"]


def test_directories_and_addresses_follow_the_ring(swift_dir):
    account = of(swift_dir / "account.ring.gz", "AUTH_a")
    silver = of("-P", "silver", "-d", swift_dir, "AUTH_a/c/o o")
    assert account["nodes"][0]["directory"] == (
        f"accounts/{account['partition']}/{account['hash'][-3:]}/{account['hash']}"
    )
    assert silver["nodes"][0]["directory"].startswith(f"objects-1/{silver['partition']}/")
    assert silver["nodes"][0]["url"].endswith(f"/{silver['partition']}/AUTH_a/c/o%20o")


def test_as_many_handoffs_as_primaries_unless_all_are_wanted(tmp_path):
    ring = shutil.copy(RINGS / "three-regions-fractional.ring.gz", tmp_path / "object.ring.gz")

    def counts(*more):
        handoffs = [node["is_handoff"] for node in of(ring, "-p", 0, *more)["nodes"]]
        return handoffs.count(False), handoffs.count(True)

    primaries, handoffs = counts()
    assert primaries == handoffs
    assert counts("--all")[1] > handoffs


def test_the_commands_it_prints_are_whole(swift_dir):
    code, output, _ = run(swift_dir / "object-1.ring.gz", "AUTH_a", "c", "o")
    commands = [shlex.split(line, comments=True) for line in output.splitlines() if line.startswith(("curl", "ssh"))]
    assert code == 0 and len(commands) == 8
    assert all("X-Backend-Storage-Policy-Index: 1" in words for words in commands[:4])


@pytest.mark.parametrize(
    "words, code, complaint",
    [
        ([], 2, "name a ring file"),
        (["-d", ".", "AUTH_a", "c", "o"], 2, "expected a ring file first"),
        (["object.ring.gz"], 2, "either a name or a partition"),
        (["object.ring.gz", "AUTH_a", "c", "o", "-p", "1"], 2, "either a name or a partition"),
        (["object.ring.gz", "AUTH_a"], 2, "3 names are needed, 1 given"),
        (["object.ring.gz", "a", "b", "c", "d"], 2, "a name is"),
        (["object.ring.gz", "-p", "-1"], 2, "partition -1"),
        (["object.ring.gz", "-p", "999999999"], 2, "partition 999999999"),
        (["missing.ring.gz", "-p", "1"], 78, "missing.ring.gz"),
        (["swift.conf", "-p", "1"], 78, "bad ring file"),
        (["-P", "bronze", "-d", ".", "AUTH_a/c/o"], 78, "no policy named 'bronze'"),
    ],
)
def test_what_it_cannot_use_it_names(swift_dir, monkeypatch, words, code, complaint):
    monkeypatch.chdir(swift_dir)
    found, _, error = run(*words)
    assert (found, complaint in error) == (code, True), error
