"""objstore ls, cp, rm, stat, temp-url, share against the endpoint: features B5.11 and the words of issue 4."""

import argparse
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from objstore.cli import rm
from objstore.cli import terminal as cli
from objstore.cli.main import main, run_command
from tests.functional.everyday import Commands, Terminal, relay
from tests.support.cluster import until

pytestmark = pytest.mark.cluster
ODD_NAMES = ("a b", "ünï Å….txt", "100%?#&+;=", "new\nline", "-rf", "quote'\"\\", "objstore:x", "~", "x" * 250)
SEGMENT = 1 << 19


@pytest.fixture(scope="module")
def commands(endpoint):
    url, users = endpoint
    return Commands(url, *users["owner"])


@pytest.fixture
def through(endpoint):
    """Commands that go through a relay at an address."""
    url, users = endpoint

    def make(address):
        path = urlsplit(url).path
        return Commands(f"http://{address[0]}:{address[1]}{path}", *users["owner"])

    return make


@pytest.fixture
def bucket(owner):
    """A container of its own, and the one of its segments, gone afterwards."""
    name = owner.new_container()
    yield name
    for each in (f"{name}_segments", name):
        if owner.head(each).status != 404:
            owner.tidy(each)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    for index, name in enumerate(ODD_NAMES):
        (root / name).write_bytes(b"%d" % index * index)
    (root / "deep" / "er" / "file").write_bytes(b"deep")
    (root / "deep-er").write_bytes(b"sorts between")
    return root


def content(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def listed(owner, container, names):
    """Wait until a container lists these: the row of an object may be late at one of its copies on a busy machine."""
    wanted = sorted(names)
    until(lambda: all(sorted(owner.names(container)) == wanted for _ in range(3)), f"{container} lists {wanted}")


def of_three(answer):
    return answer if len(answer.json) == 3 else None


def random_file(path, size):
    path.write_bytes(os.urandom(size))
    return path


# There and back


def test_a_tree_goes_up_and_comes_back_and_is_there_then(commands, owner, bucket, tree, tmp_path):
    count = len(content(tree))
    assert commands.copied("-r", tree, f"objstore:{bucket}")["copied"] == count
    listed(owner, bucket, content(tree))
    again = commands.copied("-r", tree, f"objstore:{bucket}")
    assert (again["copied"], again["skipped"], again["failed"]) == (0, count, 0)
    assert commands.copied("-r", f"objstore:{bucket}", tmp_path / "back")["copied"] == count
    assert content(tmp_path / "back") == content(tree)
    assert commands.copied("-r", f"objstore:{bucket}", tmp_path / "back")["skipped"] == count


def test_what_has_changed_is_copied_though_size_and_time_are_the_same(commands, owner, bucket, tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"old")
    commands.ok("cp", file, f"objstore:{bucket}/f")
    before = file.stat()
    file.write_bytes(b"new")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert commands.copied(file, f"objstore:{bucket}/f")["copied"] == 1
    assert owner.get(bucket, "f").body == b"new"
    (tmp_path / "f").write_bytes(b"odd")
    assert commands.copied(f"objstore:{bucket}/f", file)["copied"] == 1
    assert file.read_bytes() == b"new"


def test_a_files_time_and_type_come_along(commands, owner, bucket, tmp_path):
    file = tmp_path / "page.html"
    file.write_bytes(b"<p>")
    os.utime(file, ns=(0, 1_234_567_890_123_456_000))
    commands.ok("cp", file, f"objstore:{bucket}/")
    answer = owner.head(bucket, "page.html")
    assert answer.headers["content-type"] == "text/html"
    commands.ok("cp", f"objstore:{bucket}/page.html", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mtime_ns == 1_234_567_890_123_456_000


def test_several_sources_keep_their_names(commands, owner, bucket, tree):
    commands.ok("cp", "-r", tree / "deep", tree / "a b", f"objstore:{bucket}/in/")
    listed(owner, bucket, {"in/deep/er/file", "in/a b"})


def test_a_container_that_is_missing_is_made(commands, owner, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    name = owner.new_container()
    owner.delete(name)
    commands.ok("cp", tmp_path / "f", f"objstore:{name}/f")
    assert owner.get(name, "f").body == b"x"
    owner.tidy(name)


# Large files


def test_a_large_file_goes_in_segments_and_comes_back_whole(commands, owner, bucket, tmp_path):
    file = random_file(tmp_path / "big", 3 * SEGMENT + 17)
    words = (file, f"objstore:{bucket}/big", "--segment-size", SEGMENT)
    assert commands.copied(*words)["copied"] == 1
    answer = owner.head(bucket, "big")
    assert answer.headers["x-static-large-object"].lower() == "true"
    until(lambda: len(owner.names(f"{bucket}_segments")) == 4, "the segments are listed")
    assert commands.copied(*words)["skipped"] == 1
    assert commands.copied(f"objstore:{bucket}/big", tmp_path / "back")["copied"] == 1
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert commands.copied(f"objstore:{bucket}/big", tmp_path / "back")["skipped"] == 1


def test_segments_of_what_is_replaced_go_and_those_of_others_stay(commands, owner, bucket, tmp_path):
    for name in ("big", "other"):
        commands.ok(
            "cp", random_file(tmp_path / name, 2 * SEGMENT), f"objstore:{bucket}/{name}", "--segment-size", SEGMENT
        )
    until(lambda: len(owner.names(f"{bucket}_segments")) == 4, "the segments are listed")
    old = set(owner.names(f"{bucket}_segments"))
    commands.ok(
        "cp", random_file(tmp_path / "big", 2 * SEGMENT + 1), f"objstore:{bucket}/big", "--segment-size", SEGMENT
    )
    others = {name for name in old if name.startswith("other/")}
    until(lambda: old & set(owner.names(f"{bucket}_segments")) == others, "the old segments are gone, and no others")
    assert owner.get(bucket, "other").body == (tmp_path / "other").read_bytes()
    assert owner.get(bucket, "big").body == (tmp_path / "big").read_bytes()


def test_a_copy_of_a_large_object_outlives_its_source(commands, owner, bucket, tmp_path):
    file = random_file(tmp_path / "big", 2 * SEGMENT)
    commands.ok("cp", file, f"objstore:{bucket}/big", "--segment-size", SEGMENT)
    assert commands.copied(f"objstore:{bucket}/big", f"objstore:{bucket}/copy")["copied"] == 1
    assert commands.copied(f"objstore:{bucket}/big", f"objstore:{bucket}/copy")["skipped"] == 1
    commands.ok("rm", f"{bucket}/big")
    assert owner.get(bucket, "copy").body == file.read_bytes()
    until(
        lambda: all(name.startswith("copy/") for name in owner.names(f"{bucket}_segments")),
        "the segments of what was deleted are gone",
    )


def put_odd_manifest(owner, bucket):
    """A large object of every kind of part; what it reads as."""
    for name, body in (("s/1", b"0123456789"), ("s/2", b"abcdefghij")):
        owner.upload(bucket, name, body)
    parts = [{"path": f"/{bucket}/s/1"}, {"path": f"/{bucket}/s/2"}]
    for name, entries in (
        ("inner", parts),
        ("odd", [*parts, {"path": f"/{bucket}/s/1", "range": "2-4"}, {"path": f"/{bucket}/inner"}, {"data": "aGk="}]),
    ):
        body = json.dumps(entries).encode()
        assert owner.put(bucket, name, query="multipart-manifest=put", body=body).status == 201
    return b"0123456789abcdefghij234" + b"0123456789abcdefghij" + b"hi"


def test_manifests_of_others_are_read_and_copied_as_what_they_are(commands, owner, bucket, tmp_path):
    whole = put_odd_manifest(owner, bucket)
    facts = commands.copied(f"objstore:{bucket}/odd", tmp_path / "odd")
    assert (facts["copied"], facts["unverified"]) == (1, 1) and (tmp_path / "odd").read_bytes() == whole
    assert commands.copied(f"objstore:{bucket}/inner", tmp_path / "inner")["unverified"] == 0
    commands.ok("cp", f"objstore:{bucket}/odd", f"objstore:{bucket}/copy")
    for name in ("odd", "inner", "s/1", "s/2"):
        owner.delete(bucket, name)
    assert owner.get(bucket, "copy").body == whole
    commands.ok("rm", f"{bucket}/copy")
    listed(owner, f"{bucket}_segments", [])


def test_small_segments_are_fetched_again_from_where_they_broke(commands, through, owner, bucket, tmp_path):
    file = random_file(tmp_path / "big", SEGMENT)
    commands.ok("cp", file, f"objstore:{bucket}/big", "--segment-size", "20K")
    with relay(owner.swift.address, after_bytes=200_000, direction="down", times=2) as (address, cuts):
        facts = through(address).copied(f"objstore:{bucket}/big", tmp_path / "back")
    assert (facts["copied"], facts["unverified"], len(cuts)) == (1, 0, 2)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_a_version_of_a_large_object_can_still_be_read(commands, owner, bucket, tmp_path):
    assert owner.post(bucket, headers={"X-Versions-Enabled": "true"}).status == 204
    file = random_file(tmp_path / "big", 2 * SEGMENT)
    words = (file, f"objstore:{bucket}/big", "--segment-size", SEGMENT)
    commands.ok("cp", *words)
    old = file.read_bytes()
    random_file(file, SEGMENT + 1)
    commands.ok("cp", *words)
    commands.ok("rm", f"{bucket}/big")
    answer = until(lambda: of_three(owner.get(bucket, query="versions&format=json")), "all versions are listed")
    oldest = [row for row in answer.json if row["bytes"] == len(old)]
    assert owner.get(bucket, "big", query={"version-id": oldest[0]["version_id"]}).body == old
    for row in answer.json:
        owner.delete(bucket, "big", query={"version-id": row["version_id"]})


def test_dynamic_large_objects_and_links_are_copied_as_what_they_read_as(commands, owner, bucket, tmp_path):
    for number in (1, 2):
        owner.upload(bucket, f"parts/{number}", b"part%d " % number)
    assert owner.put(bucket, "joined", headers={"X-Object-Manifest": f"{bucket}/parts/"}).status == 201
    assert owner.put(bucket, "link", headers={"X-Symlink-Target": f"{bucket}/parts/1"}).status == 201
    listed(owner, bucket, ["parts/1", "parts/2", "joined", "link"])
    facts = commands.copied("-r", f"objstore:{bucket}", tmp_path)
    assert (facts["copied"], facts["unverified"], facts["failed"]) == (4, 1, 0)
    assert (tmp_path / "joined").read_bytes() == b"part1 part2 "
    assert (tmp_path / "link").read_bytes() == b"part1 "


# What is cut off


def test_a_download_that_breaks_goes_on(commands, through, owner, bucket, tmp_path):
    body = os.urandom(2 * SEGMENT)
    owner.upload(bucket, "o", body)
    with relay(owner.swift.address, after_bytes=200_000, direction="down", times=3) as (address, cuts):
        assert through(address).copied(f"objstore:{bucket}/o", tmp_path / "o")["copied"] == 1
    assert len(cuts) == 3 and (tmp_path / "o").read_bytes() == body
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_a_download_that_was_given_up_goes_on_where_it_was(commands, through, owner, bucket, tmp_path):
    body = os.urandom(2 * SEGMENT)
    etag = owner.upload(bucket, "o", body)
    (tmp_path / f".objstore-{hashlib.sha256(b'o').hexdigest()[:16]}-{etag}.part").write_bytes(body[: SEGMENT + 5])
    with relay(owner.swift.address, after_bytes=SEGMENT + 50_000, direction="down") as (address, cuts):
        assert through(address).copied(f"objstore:{bucket}/o", tmp_path / "o")["copied"] == 1
    assert not cuts, "all of it was fetched again"
    assert (tmp_path / "o").read_bytes() == body


@pytest.mark.parametrize("left", [b"x" * 70_000, b"", None], ids=["wrong", "nothing", "too much"])
def test_what_an_earlier_copy_left_wrong_does_not_matter(commands, owner, bucket, tmp_path, left):
    body = os.urandom(100_000)
    left = body + b"more" if left is None else left
    etag = owner.upload(bucket, "o", body)
    (tmp_path / f".objstore-{hashlib.sha256(b'o').hexdigest()[:16]}-{etag}.part").write_bytes(left)
    assert commands.copied(f"objstore:{bucket}/o", tmp_path / "o")["copied"] == 1
    assert (tmp_path / "o").read_bytes() == body


def test_an_upload_that_breaks_is_sent_again(through, owner, bucket, tmp_path):
    file = random_file(tmp_path / "f", 2 * SEGMENT)
    with relay(owner.swift.address, after_bytes=350_000, direction="up", times=2) as (address, cuts):
        assert through(address).copied(file, f"objstore:{bucket}/f")["copied"] == 1
    assert len(cuts) == 2 and owner.get(bucket, "f").body == file.read_bytes()


def test_an_interrupted_large_upload_goes_on_with_its_segments(commands, through, owner, bucket, tmp_path):
    file = random_file(tmp_path / "big", 4 * SEGMENT)
    words = (file, f"objstore:{bucket}/big", "--segment-size", SEGMENT)
    commands.ok("cp", *words)
    until(lambda: len(owner.names(f"{bucket}_segments")) == 4, "the segments are listed")
    *first, last = sorted(owner.names(f"{bucket}_segments"))
    owner.delete(f"{bucket}_segments", last)
    listed(owner, f"{bucket}_segments", first)
    owner.delete(bucket, "big")
    with relay(owner.swift.address, after_bytes=2 * SEGMENT, direction="up") as (address, cuts):
        assert through(address).copied(*words)["copied"] == 1
    assert not cuts, "more than the missing segment was sent"
    assert owner.get(bucket, "big").body == file.read_bytes()


@contextmanager
def minding_ctrl_c():
    """Commands started in here mind it, also where this process was started in the background, which is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_copy_at_once_and_the_next_goes_on(commands, through, owner, bucket, tmp_path):
    body = os.urandom(2 * SEGMENT)
    owner.upload(bucket, "o", body)
    with relay(owner.swift.address, after_bytes=SEGMENT, direction="down", stalls=True) as (address, cuts):
        environ = {**os.environ, **through(address).environ}
        words = [sys.executable, "-m", "objstore.cli.main", "cp", f"objstore:{bucket}/o", str(tmp_path / "o")]
        with minding_ctrl_c():
            process = subprocess.Popen(words, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            until(lambda: cuts, "the copy has come half way")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err, (process.returncode, err)
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part") and body.startswith(part.read_bytes())
    assert commands.copied(f"objstore:{bucket}/o", tmp_path / "o")["copied"] == 1
    assert (tmp_path / "o").read_bytes() == body


# What must not be


def test_an_archives_entry_does_not_climb_out_of_where_it_goes(commands, owner, bucket, tmp_path):
    names = ["../escaped", "a/../../escaped", "/escaped", "a//b", "./a", "a/.", "..", "x" * 256]
    for name in names:
        owner.upload(bucket, name, b"bad")
    owner.upload(bucket, "good", b"good")
    listed(owner, bucket, [*names, "good"])
    (tmp_path / "in").mkdir()
    code, out, err = commands("cp", "-r", f"objstore:{bucket}", tmp_path / "in" / "side")
    assert code == 1 and f"1 copied (4), {len(names)} failed" in out
    assert err.count("can be no file") == 7 and err.count("a file's name has at most 255") == 1
    assert content(tmp_path) == {"in/side/good": b"good"}


def test_links_in_the_destination_lead_nowhere(commands, owner, bucket, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "outside" / "file")
    owner.upload(bucket, "a/evil", b"evil")
    owner.upload(bucket, "file", b"mine")
    listed(owner, bucket, ["a/evil", "file"])
    code, _, err = commands("cp", "-r", f"objstore:{bucket}", tmp_path / "in")
    assert code == 1 and "a link or a file stands where a directory is needed" in err
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "in" / "file").read_bytes() == b"mine" and not (tmp_path / "in" / "file").is_symlink()


def test_links_on_disk_are_not_followed_unless_asked(commands, owner, bucket, tmp_path):
    (tmp_path / "t" / "loop").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "t" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "t" / "loop" / "up").symlink_to(tmp_path / "t")
    os.mkfifo(tmp_path / "t" / "pipe")
    (tmp_path / "t" / "f").write_bytes(b"f")
    facts = commands.copied("-r", tmp_path / "t", f"objstore:{bucket}")
    assert (facts["copied"], facts["left_out"]) == (1, 3)
    listed(owner, bucket, ["f"])
    facts = commands.copied("-r", "-L", tmp_path / "t", f"objstore:{bucket}")
    assert (facts["copied"], facts["left_out"], facts["failed"]) == (1, 2, 0)
    assert owner.get(bucket, "link").body == b"s"


def test_errors_are_said_at_the_end_and_the_rest_goes_on(commands, owner, bucket, tmp_path):
    (tmp_path / "bad").write_bytes(b"x")
    (tmp_path / "good").write_bytes(b"y")
    os.rename(tmp_path / "bad", os.fsencode(tmp_path) + b"/\xff")
    code, out, err = commands("cp", "-r", tmp_path, f"objstore:{bucket}")
    assert code == 1 and "not UTF-8; rename it" in err and "1 failed" in out
    listed(owner, bucket, ["good"])


def test_names_cannot_move_the_cursor(commands, owner, bucket):
    owner.upload(bucket, "\x1b[2Jevil\rname", b"")
    listed(owner, bucket, ["\x1b[2Jevil\rname"])
    code, out, _ = commands("ls", bucket)
    assert out == "\\x1b[2Jevil\\rname\n"
    assert json.loads(commands.ok("ls", bucket, "--json"))["name"] == "\x1b[2Jevil\rname"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cp", "a", "b"), "neither side is in the cluster"),
        (("cp", "/", "objstore:c"), "with -r"),
        (("cp", "/nowhere/at/all", "objstore:c"), "no such file"),
        (("cp", "objstore:c", "/tmp"), "with -r"),
        (("cp", "objstore:c/o", "objstore:"), "name a container"),
        (("cp", "-r", "objstore:c", "objstore:c/backup"), "would copy itself"),
        (("cp", "objstore:/c/o", "/tmp"), "without a slash"),
        (("cp", "objstore:no-such-container/o", "/tmp/x"), "no such object"),
        (("rm", "c"), "with -r"),
        (("rm", "no-such-container/o"), "no such container"),
        (("stat", "no-such-container"), "there is no such container"),
        (("ls", "no-such-container"), "there is no such container"),
        (("temp-url", "c"), "needs CONTAINER/OBJECT"),
        (("temp-url", "c/o", "--expires", "tomorrow"), "expected 30m"),
        (("share", "add", "c"), "needs --to"),
        (("share", "add", "c/o", "--to", "a"), "temp-url"),
        (("share", "add", "c", "--to", ".r:*"), "expected ACCOUNT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_one_line(commands, words, said):
    code, out, err = commands(*words)
    assert code in (1, 2) and said in err and "Traceback" not in err


# ls, stat, rm


def test_a_listing_looks_like_a_directory(commands, owner, bucket):
    for name in ("a", "dir/x", "dir/y/z", "dir", "dir-2"):
        owner.upload(bucket, name, b"12345" * 500)
    listed(owner, bucket, ["a", "dir/x", "dir/y/z", "dir", "dir-2"])
    lines = commands.ok("ls", bucket).splitlines()
    assert lines == ["a", "dir", "dir-2", "dir/"]
    assert commands.ok("ls", f"objstore:{bucket}/dir").splitlines() == ["dir", "dir/x", "dir/y/"]
    assert commands.ok("ls", f"{bucket}/dir/").splitlines() == ["dir/x", "dir/y/"]
    assert commands.ok("ls", "-R", f"{bucket}/dir/").splitlines() == ["dir/x", "dir/y/z"]
    assert commands.ok("ls", bucket, "--prefix", "dir-").splitlines() == ["dir-2"]
    assert "2.4K" in commands.ok("ls", "-lh", bucket) and " 2500 " in commands.ok("ls", "-l", bucket)
    until(lambda: bucket in commands.ok("ls").splitlines(), "the container is listed")
    code, _, err = commands("ls", f"{bucket}/none")
    assert code == 1 and "nothing has this name" in err


def test_stat_shows_what_is_there_and_no_keys(commands, owner, bucket):
    owner.upload(bucket, "o", b"12345", {"X-Object-Meta-Color": "grün"})
    facts = json.loads(commands.ok("stat", f"{bucket}/o", "--json"))
    assert facts["headers"]["x-object-meta-color"] == "grün" and facts["headers"]["content-length"] == "5"
    assert "grün" in commands.ok("stat", f"{bucket}/o")
    owner.post(bucket, headers={"X-Container-Meta-Temp-Url-Key": "hidden-key"})
    assert "hidden-key" not in commands.ok("stat", bucket) + commands.ok("stat", bucket, "--json")
    assert "hidden-key" in commands.ok("stat", bucket, "--secrets")


def test_rm_asks_and_takes_all_that_is_meant_and_no_more(commands, owner, tmp_path):
    name = owner.new_container()
    for each in ("dir", "dir/a", "dir/b/c", "dir-2", "line\nbreak"):
        owner.upload(name, each)
    commands.ok("cp", random_file(tmp_path / "big", 2 * SEGMENT), f"objstore:{name}/dir/big", "--segment-size", SEGMENT)
    listed(owner, name, ["dir", "dir/a", "dir/b/c", "dir/big", "dir-2", "line\nbreak"])
    code, _, err = commands("rm", "-r", f"{name}/dir")
    assert code == 2 and "say --yes" in err
    commands.ok("rm", "-r", "--yes", f"{name}/dir")
    listed(owner, name, ["dir-2", "line\nbreak"])
    listed(owner, f"{name}_segments", [])
    assert json.loads(commands.ok("rm", "-r", "--yes", "--json", name)) == {"deleted": 2, "errors": []}
    assert owner.head(name).status == 404
    owner.delete(f"{name}_segments")


@pytest.mark.parametrize(("answer", "is_there"), [("n\n", True), ("", True), ("y\n", False)])
def test_a_question_decides(commands, owner, bucket, answer, is_there):
    owner.upload(bucket, "dir/o")
    listed(owner, bucket, ["dir/o"])
    parser = argparse.ArgumentParser()
    rm.add_arguments(parser)
    out, words = Terminal(), parser.parse_args(["-r", f"{bucket}/dir"])
    terminal = cli.Terminal(out, io.StringIO(), commands.environ, Terminal(answer))
    code = run_command(lambda: rm.run(words, terminal), terminal)
    assert f"delete everything below objstore:{bucket}/dir?" in out.getvalue()
    assert (owner.head(bucket, "dir/o").status == 200, code) == (is_there, 1 if is_there else 0)


# Links and rights


def fetch(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_a_link_works(commands, owner, bucket, digest):
    owner.post(bucket, headers={"X-Container-Meta-Temp-Url-Key": "ckey"})
    owner.upload(bucket, "ä b/c%", b"by link")
    assert fetch(commands.ok("temp-url", f"{bucket}/ä b/c%", "--digest", digest).strip()) == b"by link"


def test_a_link_to_a_prefix_and_from_an_address(commands, owner, bucket):
    owner.post(bucket, headers={"X-Container-Meta-Temp-Url-Key": "ckey"})
    owner.upload(bucket, "dir/o", b"by prefix")
    url = commands.ok("temp-url", f"{bucket}/dir/", "--prefix", "--expires", "10m").strip()
    assert fetch(url.replace("/dir/?", "/dir/o?")) == b"by prefix"
    assert fetch(commands.ok("temp-url", f"{bucket}/dir/o", "--ip-range", "127.0.0.0/8").strip()) == b"by prefix"
    refused = commands.ok("temp-url", f"{bucket}/dir/o", "--ip-range", "192.0.2.0/24").strip()
    with pytest.raises(OSError, match="401"):
        fetch(refused)


def test_a_key_is_made_when_it_may(endpoint, swift, tmp_path):
    mine = Commands(endpoint[0], *endpoint[1]["stranger"])
    (tmp_path / "o").write_bytes(b"linked")
    mine.ok("cp", tmp_path / "o", "objstore:links/o")
    try:
        code, _, err = mine("temp-url", "links/o")
        assert code == 1 and "--make-key" in err
        assert fetch(mine.ok("temp-url", "links/o", "--make-key").strip()) == b"linked"
        assert mine("temp-url", "links/o")[0] == 0
    finally:
        swift.stranger.post(headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})
        mine("rm", "-r", "--yes", "links")


def test_the_examples_of_the_manual(commands, owner, tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "doc" / "operations" / "everyday.md"
    examples = [line[2:] for line in page.read_text().splitlines() if line.startswith("$ objstore ")]
    assert len(examples) > 10
    (tmp_path / "Pictures" / "2026").mkdir(parents=True)
    (tmp_path / "Pictures" / "2026" / "dog.jpg").write_bytes(b"dog")
    (tmp_path / "cat.jpg").write_bytes(b"cat")
    random_file(tmp_path / "big.iso", SEGMENT + 1)
    monkeypatch.chdir(tmp_path)
    try:
        outputs = {}
        for line in examples:
            outputs[line] = commands.ok(*shlex.split(line)[1:])
            if "Pictures" in line:
                listed(owner, "photos", ["2026/cat.jpg", "2026/dog.jpg"])
    finally:
        owner.post(headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})
        owner.delete("archive_segments")
    assert outputs["objstore ls photos"] == "2026/\n"
    assert content(tmp_path / "restored") == {"cat.jpg": b"cat", "dog.jpg": b"dog"}
    assert [owner.head(name).status for name in ("photos", "archive")] == [404, 404]


def test_sharing_lets_in_and_revoking_shuts_out(commands, owner, swift, endpoint, bucket, tmp_path):
    stranger = Commands(endpoint[0], *endpoint[1]["stranger"])
    file = random_file(tmp_path / "big", 2 * SEGMENT)
    commands.ok("cp", file, f"objstore:{bucket}/big", "--segment-size", SEGMENT)
    theirs = ("--account", owner.account)
    assert stranger("ls", bucket, *theirs)[0] == 1
    commands.ok("share", "add", bucket, "--to", endpoint[1]["stranger"][0])
    listed(owner, bucket, ["big"])
    assert stranger.ok("ls", bucket, *theirs) == "big\n"
    stranger.ok("cp", f"objstore:{bucket}/big", tmp_path / "theirs", *theirs)
    assert (tmp_path / "theirs").read_bytes() == file.read_bytes()
    assert stranger("cp", file, f"objstore:{bucket}/new", *theirs)[0] == 1
    assert endpoint[1]["stranger"][0] in commands.ok("share", "list", bucket)
    commands.ok("share", "revoke", bucket, "--all")
    assert stranger("ls", bucket, *theirs)[0] == 1
    assert owner.head(f"{bucket}_segments").headers.get("x-container-read", "") == ""


def test_what_may_only_be_written_to_takes_files(owner, endpoint, bucket, tree):
    stranger = Commands(endpoint[0], *endpoint[1]["stranger"])
    theirs = ("--account", owner.account)
    code, _, err = stranger("cp", tree / "a b", f"objstore:{bucket}/o", *theirs)
    assert code == 1 and "answered 403" in err
    owner.post(bucket, headers={"X-Container-Write": endpoint[1]["stranger"][0]})
    assert stranger.copied(tree / "deep-er", f"objstore:{bucket}/", *theirs)["copied"] == 1
    assert stranger.copied("-r", tree / "deep", f"objstore:{bucket}", *theirs)["copied"] == 1
    assert owner.get(bucket, "er/file").body == b"deep"
    assert stranger("cp", f"objstore:{bucket}/deep-er", tree / "back", *theirs)[0] == 1


def test_the_public_is_let_in_only_after_a_question(commands, owner, swift, bucket):
    owner.upload(bucket, "o", b"public")
    code, _, err = commands("share", "add", bucket, "--public")
    assert code == 2 and "without logging in" in err
    assert swift.anonymous.raw("GET", owner.path(bucket, "o")).status == 401
    commands.ok("share", "add", bucket, "--public", "--yes")
    assert swift.anonymous.raw("GET", owner.path(bucket, "o")).body == b"public"
    assert json.loads(commands.ok("share", "list", bucket, "--json"))["public"]
    commands.ok("share", "revoke", bucket, "--public")
    assert swift.anonymous.raw("GET", owner.path(bucket, "o")).status == 401


def test_a_terminal_sees_progress_and_a_pipe_does_not(commands, bucket, tree):
    for stream, is_shown in ((Terminal(), True), (io.StringIO(), False)):
        words = ["cp", "-r", "-f", str(tree), f"objstore:{bucket}"]
        assert main(words, stdout=io.StringIO(), stderr=stream, environ=commands.environ) == 0
        assert ("/s" in stream.getvalue()) == is_shown
        assert is_shown or stream.getvalue() == ""
