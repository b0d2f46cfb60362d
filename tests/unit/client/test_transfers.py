"""Uploads and downloads against a cluster that changes, breaks off or lies; and several at once (client/work.py)."""

import hashlib
import threading

import pytest

from objstore.client.content import FileRegion
from objstore.client.copying import Copying, CopyOptions
from objstore.client.download import Downloader
from objstore.client.errors import ClientError, Stopped
from objstore.client.landing import Landing
from objstore.client.place import Place
from objstore.client.tree import file_at
from objstore.client.upload import Uploader, UploadOptions
from objstore.client.work import Done, Job, Kind, Progress, Workers
from tests.support.scripted_swift import Answer

BODY = bytes(range(256)) * 40
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def workers(session):
    return Workers(2, session.stop)


@pytest.fixture
def download(account, workers, tmp_path):
    def run():
        return Downloader(account, workers).download(Place("c", "o"), None, Landing(str(tmp_path)), ("f",))

    return run


def stored(body=BODY, etag=None, **more):
    """A HEAD's or a whole GET's answer."""
    return Answer(200, body, {"ETag": etag or hashlib.md5(body).hexdigest(), **more.pop("headers", {})}, **more)


def part_of(body, start, etag=None):
    headers = {
        "ETag": etag or hashlib.md5(body).hexdigest(),
        "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}",
    }
    return Answer(206, body[start:], headers)


# Downloads


def test_a_body_that_breaks_off_goes_on_where_it_was(proxy, download, tmp_path):
    def rest(request):
        start = int(request.headers["Range"].removeprefix("bytes=").split("-")[0])
        assert start > 0 and request.headers["If-Match"] == f'"{MD5}"'
        return part_of(BODY, start)

    proxy.script = [stored(), stored(cut=5000), rest]
    assert download().kind is Kind.COPIED
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_body_that_breaks_off_for_ever_is_given_up_and_kept(proxy, download, tmp_path):
    proxy.script = [stored(), stored(cut=5000), Answer(206, BODY[5000:], part_of(BODY, 5000).headers, cut=0)]
    with pytest.raises(ClientError, match="again and again"):
        download()
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part") and part.read_bytes() == BODY[:5000]


def test_wrong_bytes_never_get_the_name(proxy, download, tmp_path):
    wrong = b"x" + BODY[1:]
    proxy.script = [stored(), stored(wrong, MD5)]
    with pytest.raises(ClientError, match="another checksum"):
        download()
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_replaced_meanwhile_is_fetched_as_it_is_then(proxy, download, tmp_path):
    new = b"new" * 1000
    proxy.script = [stored(), stored(cut=5000), Answer(412), stored(new), stored(new)]
    assert download().kind is Kind.COPIED
    assert (tmp_path / "f").read_bytes() == new


@pytest.mark.parametrize(
    "answer",
    [
        part_of(BODY, 6000),
        part_of(BODY, 5000, "other"),
        stored(),
        stored(headers={"X-Static-Large-Object": "True"}),
    ],
    ids=["another range", "another object", "all of it", "a large object"],
)
def test_an_answer_to_another_question_is_not_taken(proxy, download, tmp_path, answer):
    proxy.script = [stored(), stored(cut=5000), answer]
    with pytest.raises(ClientError):
        download()
    assert not (tmp_path / "f").exists()


def test_what_is_there_is_not_fetched(proxy, download, tmp_path):
    (tmp_path / "f").write_bytes(BODY)
    proxy.script = [stored()]
    assert download().kind is Kind.SKIPPED
    assert [method for method, _, _ in proxy.requests] == ["HEAD"]


def test_an_object_that_is_not_there(proxy, download):
    proxy.script = [Answer(404)]
    with pytest.raises(ClientError, match="objstore:c/o: no such object"):
        download()


# Uploads


@pytest.fixture
def upload(account, workers, tmp_path):
    (tmp_path / "f").write_bytes(BODY)

    def run(**options):
        file = file_at(str(tmp_path / "f"), "f")
        return Uploader(account, workers, UploadOptions(**options)).upload(file, Place("c", "o"), None)

    return run


def test_the_checksum_goes_in_front(proxy, upload):
    proxy.script = [Answer(204), Answer(200, b"{}"), Answer(201, headers={"ETag": MD5})]
    assert upload().kind is Kind.COPIED
    assert (proxy.requests[-1][0], proxy.sent[-1]["etag"], proxy.bodies[-1]) == ("PUT", MD5, BODY)


def test_what_is_stored_with_another_checksum_is_an_error(proxy, upload):
    proxy.script = [Answer(204), Answer(200, b"{}"), Answer(201, headers={"ETag": "0" * 32})]
    with pytest.raises(ClientError, match=f"expected {MD5}"):
        upload()


def test_a_file_that_changes_under_way_gets_no_manifest(proxy, upload, tmp_path):
    def change(request):
        with open(tmp_path / "f", "ab") as file:
            file.write(b"more")
        return Answer(201)

    info = b'{"slo": {"max_manifest_segments": 1000}}'
    proxy.script = [Answer(204), Answer(200, info), Answer(204), Answer(404), change, Answer(201)]
    with pytest.raises(ClientError, match="changed while it was copied"):
        upload(segment_bytes=4096)
    assert not any("multipart-manifest" in target for _, target, _ in proxy.requests)


def test_a_cluster_without_large_objects_is_said(proxy, upload):
    proxy.script = [Answer(204), Answer(200, b"{}")]
    with pytest.raises(ClientError, match="the cluster has no large objects"):
        upload(segment_bytes=4096)


def test_what_is_sent_again_counts_once(tmp_path):
    (tmp_path / "f").write_bytes(BODY)
    counts = []
    with open(tmp_path / "f", "rb") as file:
        region = FileRegion(file.fileno(), 10, 5000, counts.append)
        assert b"".join(region.pieces()) == b"".join(region.pieces()) == BODY[10:5010]
    assert sum(counts) == 5000


def test_what_can_never_be_is_said_before_anything_is_asked(proxy, account, workers, tmp_path):
    copying = Copying(account, workers, CopyOptions(is_recursive=True))
    for sources, to in ([["a"], "b"], [[str(tmp_path)], "objstore:"], [["objstore:c/a"], "objstore:c/a/b"]):
        with pytest.raises(ClientError):
            copying.jobs(sources, to)
    assert proxy.requests == []


# Several at once


def job(name, do=None):
    return Job(name, "", 1, do or (lambda: Done(Kind.COPIED, name)))


def failing(error):
    def do():
        raise error

    return do


def test_failures_are_said_and_the_rest_goes_on():
    jobs = [job("a"), job("b", failing(OSError(13, "no", "/b"))), job("c", failing(ClientError("c is bad")))]
    found = {done.source: (done.kind, done.why) for done in Workers(2, lambda: None).run(jobs)}
    assert found == {"a": (Kind.COPIED, ""), "b": (Kind.FAILED, "no: /b"), "c": (Kind.FAILED, "c is bad")}


def test_jobs_are_drawn_as_there_is_room():
    drawn = []
    gate = threading.Event()

    def stream():
        for number in range(1000):
            drawn.append(number)
            yield job(str(number), lambda: gate.wait() and Done(Kind.COPIED, ""))

    results = Workers(2, lambda: None).run(stream(), tick=gate.set)
    next(results)
    assert len(drawn) < 50
    assert sum(1 for _ in results) == 999


def test_an_interruption_stops_the_workers_and_waits_for_them():
    stopping, ended = threading.Event(), []

    def work():
        assert stopping.wait(60)
        ended.append(1)
        raise Stopped

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Workers(3, stopping.set).run([job(str(n), work) for n in range(3)], interrupt))
    assert len(ended) >= 1


def test_pieces_of_one_file_share_the_slots_with_other_files():
    lock, now, most = threading.Lock(), [0], [0]

    def piece(number):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= 1
        return number

    workers = Workers(3, lambda: None)
    jobs = [
        job(str(n), lambda: Done(Kind.COPIED, "", size_bytes=sum(workers.pieces(range(50), piece)))) for n in range(6)
    ]
    assert [done.size_bytes for done in workers.run(jobs)] == [sum(range(50))] * 6
    assert most[0] <= 3


def test_progress_adds_up_whatever_happens():
    progress = Progress()
    workers = Workers(2, lambda: None, progress)

    def work():
        count = progress.counter()
        progress.resize(100)
        count(70)
        count(-70)
        count(30)
        raise ClientError("half way")

    list(workers.run([job("a", work), job("b")]))
    assert (progress.files_done, progress.done_bytes, progress.size_bytes) == (2, 101, 101)
    assert progress.under_way() == []
