"""The pending file: the bytes of records, what is read back, and what a crash may leave."""

import base64

import pytest

from objstore.db import pending
from objstore.db.merge import ContainerRow, ObjectRow, encoded_times
from objstore.runtime.fs import Fs

ROW = ObjectRow("oü1", "1795232188.14071", 11, "text/plain", "5eb63bbbe01eeed093cb22bb8f5acdc3", 0, 0)
V7 = (
    b"gAIoWAQAAABvw7wxcQBYEAAAADE3OTUyMzIxODguMTQwNzFxAUsLWAoAAAB0ZXh0L3BsYWlucQJYIAAAADVlYjYzYmJiZTAxZWVl"
    b"ZDA5M2NiMjJiYjhmNWFjZGMzcQNLAEsATk50cQQu"
)


def test_record_has_the_bytes_of_the_golden_vector():
    assert pending.object_record(ROW) == b":" + V7


def test_golden_vector_is_read():
    assert pending.parse(b":" + V7, pending.object_row) == ([ROW], 0)


@pytest.mark.parametrize("length", [6, 7, 8, 9])
def test_old_and_new_record_lengths_are_read(length):
    items = (*ROW[:6], 2, "1795232189.00000", None)[:length]
    (row,), skipped = pending.parse(pending.record_of(items), pending.object_row)
    assert (row.storage_policy_index, skipped) == (2 if length > 6 else 0, 0)
    assert row.created_at == (encoded_times(ROW.created_at, "1795232189.00000", None) if length > 7 else ROW.created_at)


def test_account_record_with_numbers_as_text():
    record = pending.record_of(("c", "1700000000.00000", "0", "3", "99", 0, "1"))
    assert pending.parse(record, pending.container_row)[0] == [ContainerRow("c", "1700000000.00000", "0", 3, 99, 0, 1)]


def test_torn_last_record_is_skipped_and_the_next_one_read():
    whole = pending.object_record(ROW)
    assert pending.parse(whole + whole[: len(whole) // 2] + whole, pending.object_row) == ([ROW, ROW], 1)


@pytest.mark.parametrize(
    "record",
    [
        b":not base64!",
        b":" + base64.b64encode(b"not a pickle"),
        pending.record_of(("too", "short")),
        pending.record_of((*ROW[:1], "no time", *ROW[2:])),
        pending.record_of(("\ud800", *ROW[1:])),
        pending.record_of((7, *ROW[1:])),
    ],
)
def test_unreadable_record_is_counted_not_fatal(record):
    assert pending.parse(record + pending.object_record(ROW), pending.object_row) == ([ROW], 1)


def test_pickle_that_names_code_is_refused():
    evil = b":" + base64.b64encode(b"cos\nsystem\n(S'true'\ntR.")
    assert pending.parse(evil, pending.object_row) == ([], 1)


def test_python_2_record_is_read():
    data = b"(S'o1'\nS'1795232188.14071'\nI11\nS'text/plain'\nS'e'\nI0\nI0\nNNt."
    rows, skipped = pending.parse(b":" + base64.b64encode(data), pending.object_row)
    assert (rows, skipped) == ([ObjectRow("o1", "1795232188.14071", 11, "text/plain", "e", 0, 0)], 0)


def test_clear_keeps_the_file(tmp_path):
    path = tmp_path / "x.db.pending"
    path.write_bytes(b":a")
    pending.clear(Fs(), str(path))
    assert path.exists() and pending.size(str(path)) == 0


@pytest.mark.parametrize("size", [1 << 63, -(1 << 70), str(1 << 64)])
def test_a_number_that_sqlite_cannot_hold_is_no_row(size):
    with pytest.raises(ValueError, match="out of range"):
        pending.object_row(("n", "1700000000.00000", size, "a/b", "e", 0))
    with pytest.raises(ValueError, match="out of range"):
        pending.container_row(("n", "1700000000.00000", "0", size, 0, 0))
