"""Who tells the update targets of a server that fell away in the middle of an upload."""

import pytest

from objstore.peers.exchange import BackendRequest
from objstore.proxy.orphans import adopted, telling_again


def sent(*shares, kind="Container"):
    """A request per slot that names these targets: "b" is the device, and the host's name."""
    return [
        BackendRequest(
            "PUT",
            "/0/a/c/o",
            [
                ("X-Timestamp", "1"),
                *(
                    [
                        (f"X-{kind}-Partition", "7"),
                        (f"X-{kind}-Host", ",".join(f"{name}:1" for name in share)),
                        (f"X-{kind}-Device", ",".join(share)),
                    ]
                    if share
                    else []
                ),
            ],
        )
        for share in shares
    ]


def devices(found, kind="Container"):
    return {slot: footers[f"X-Objstore-{kind}-Device"] for slot, footers in found.items()}


@pytest.mark.parametrize(
    ("shares", "live", "heirs", "expected"),
    [
        (["a", "b", "c"], {0, 1, 2}, [0, 1, 2], {}),
        (["a", "b", "c"], {0, 2}, [0, 2], {0: "b"}),
        (["a", "b", "c"], {2}, [2], {2: "a,b"}),
        (["ab", "cd", "e"], {1, 2}, [1, 2], {1: "a", 2: "b"}),
        (["a", "ba", "c"], {1, 2}, [1, 2], {}),
        (["ab", "ca", "b"], {2}, [2], {2: "a,c"}),
        (["a", "b", "c"], {0, 2}, [], {}),
        (["a", "b", "c"], {0, 2}, [2], {2: "b"}),
        (["a", "", "c"], {0, 2}, [0, 2], {}),
        (["a", "b", ""], {0, 2}, [0, 2], {0: "b"}),
    ],
    ids=[
        "nobody is lost",
        "one is lost",
        "two are lost",
        "shared out",
        "told by another as well",
        "told once",
        "nobody takes more",
        "only who takes more",
        "the lost one had none",
        "an heir without targets of its own",
    ],
)
def test_every_target_of_a_lost_server_is_told_by_one_that_lives(shares, live, heirs, expected):
    assert devices(adopted(sent(*shares), live, heirs)) == expected


def test_footers_name_partition_host_and_device():
    assert adopted(sent("a", "b"), {0}, [0]) == {
        0: {
            "X-Objstore-Container-Partition": "7",
            "X-Objstore-Container-Host": "b:1",
            "X-Objstore-Container-Device": "b",
        }
    }


def test_targets_of_the_expiry_queue_are_taken_over_too():
    assert devices(adopted(sent("a", "b", kind="Delete-At"), {0}, [0]), "Delete-At") == {0: "b"}


def test_telling_again_names_the_targets_and_can_never_be_taken_for_the_object():
    (request,) = sent("a")
    more = [("Transfer-Encoding", "chunked"), ("Expect", "100-continue"), ("If-None-Match", "*"), ("Etag", "x")]
    more += [("X-Backend-Obj-Metadata-Footer", "yes"), ("X-Backend-Objstore-Crc", "yes"), ("X-Delete-At", "9")]
    request = request._replace(headers=[*request.headers, *more])
    footers = {"X-Objstore-Container-Host": "b:1", "X-Objstore-Container-Device": "b"}
    again = telling_again(request, footers, "e" * 32)
    assert again.headers == [
        ("X-Timestamp", "1"),
        ("X-Delete-At", "9"),
        ("X-Container-Host", "b:1"),
        ("X-Container-Device", "b"),
        ("Etag", "e" * 32),
        ("Content-Length", "0"),
    ]
    assert (again.path, again.body) == (request.path, b"")
