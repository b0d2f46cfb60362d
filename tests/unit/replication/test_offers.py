"""replication/offers.py: formats 6.9, and what stands in tests/vectors/wire/ssync.jsonl."""

import pytest

from objstore.core.timestamp import Timestamp
from objstore.replication.offers import (
    BadLine,
    Offer,
    Wanted,
    encode_offer,
    encode_wanted,
    parse_offer,
    parse_wanted,
    wanted_of,
)
from objstore.storage.replica import Times
from objstore.storage.resolve import resolve

HASH = "dc000000000000000000000000000abc"


def t(text):
    return Timestamp.parse(text)


DATA = t("1795238446.14224")
LINES = {
    "data": (f"{HASH} 1795238446.14224", Times(DATA)),
    "meta": (f"{HASH} 1795238439.87306 m:2d8a78", Times(t("1795238439.87306"), t("1795238469.71874"))),
    "content type": (
        f"{HASH} 1795238439.87306 m:2f7b6d,t:2f7b6d",
        Times(t("1795238439.87306"), t("1795238470.99095"), t("1795238470.99095")),
    ),
    "offsets": (
        f"{HASH} 1795238446.14224_0000000000000002 m:0__3",
        Times(t("1795238446.14224_2"), t("1795238446.14224_3")),
    ),
    "before data": (f"{HASH} 1795238446.14224 m:-1", Times(DATA, t("1795238446.14223"))),
}


@pytest.mark.parametrize("line, times", LINES.values(), ids=LINES)
def test_offers_are_written_and_read_alike(line, times):
    assert encode_offer(Offer(HASH, times)) == line
    assert parse_offer(line) == Offer(HASH, times)


def test_keys_that_are_not_known_are_passed_over():
    offer = parse_offer(f"{HASH} 1795238446.14224 m:186a0,t:c350,zz:1,durable:False")
    assert offer.times == Times(DATA, t("1795238447.14224"), t("1795238446.64224"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        HASH,
        f"{HASH} ",
        f"{HASH} now",
        f"{HASH} 1795238446",
        f"{HASH} nan",
        f"{HASH[:-1]} 1795238446.14224",
        f"{HASH.upper()} 1795238446.14224",
        f"../../{HASH[6:]} 1795238446.14224",
        f"{HASH} 1795238446.14224 m",
        f"{HASH} 1795238446.14224 m:x",
        f"{HASH} 1795238446.14224 m:+1",
        f"{HASH} 1795238446.14224 m:ffffffffffffffff",
        f"{HASH} 1795238446.14224 m:-ffffffffffffffff",
        f"{HASH} 1795238446.14224 m:1__",
        f"{HASH} 1795238446.14224_00000000000000000",
        f"{HASH} 1795238446.14224 m:1 t:1",
        f"{HASH} 1795238446.14224\n",
    ],
)
def test_what_is_no_offer_is_refused(line):
    with pytest.raises(BadLine):
        parse_offer(line)


@pytest.mark.parametrize("letters, data, meta", [("d", True, False), ("m", False, True), ("dm", True, True)])
def test_wanted_lines_are_written_and_read_alike(letters, data, meta):
    assert encode_wanted(Wanted(HASH, data, meta)) == f"{HASH} {letters}"
    assert parse_wanted(f"{HASH} {letters}") == Wanted(HASH, data, meta)


def test_no_letter_wants_the_data():
    assert parse_wanted(f"{HASH} ") == Wanted(HASH, True, False)


@pytest.mark.parametrize("line", ["", HASH, f"{HASH} md", f"{HASH} x", f"{HASH}  dm", f"{HASH[1:]} dm", "../x dm"])
def test_what_is_no_wanted_line_is_refused(line):
    with pytest.raises(BadLine):
        parse_wanted(line)


OLD, NEW, LATER = "1700000000.00000", "1700000001.00000", "1700000002.00000"
HERE = {
    "nothing": ([], Times(t(NEW)), "dm"),
    "the same": ([f"{NEW}.data"], Times(t(NEW)), None),
    "older data": ([f"{OLD}.data"], Times(t(NEW)), "dm"),
    "newer data": ([f"{NEW}.data"], Times(t(OLD)), None),
    "no meta": ([f"{OLD}.data"], Times(t(OLD), t(NEW)), "m"),
    "the same meta": ([f"{OLD}.data", f"{NEW}.meta"], Times(t(OLD), t(NEW)), None),
    "newer meta, older data and content type": ([f"{OLD}.data", f"{LATER}.meta"], Times(t(NEW)), "dm"),
    "an older content type": ([f"{OLD}.data", f"{NEW}.meta"], Times(t(OLD), t(NEW), t(NEW)), "m"),
    "a meta without data": ([f"{LATER}.meta"], Times(t(OLD), t(LATER)), "dm"),
    "the tombstone": ([f"{NEW}.ts"], Times(t(NEW)), None),
    "a newer tombstone": ([f"{LATER}.ts"], Times(t(NEW)), None),
    "an older tombstone": ([f"{OLD}.ts"], Times(t(NEW)), "dm"),
    "a tombstone between data and meta": ([f"{NEW}.ts"], Times(t(OLD), t(LATER)), None),
    "older data, where it was deleted": ([f"{OLD}.data"], Times(t(LATER)), "dm"),
}


@pytest.mark.parametrize("names, offered, expected", HERE.values(), ids=HERE)
def test_what_is_wanted_of_an_offer(names, offered, expected):
    wanted = wanted_of(Offer(HASH, offered), resolve(names))
    assert (None if wanted is None else encode_wanted(wanted).split()[1]) == expected
