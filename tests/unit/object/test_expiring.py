"""object/expiring.py: formats 4.15 (V6)."""

from objstore.core.hashing import HashSecrets
from objstore.object.expiring import ExpiryQueue, QueueEntry

QUEUE = ExpiryQueue(HashSecrets(b"wire-prefix", b"wire-suffix"))


def test_recorded_queue_entries():
    """vectors/wire/expirer.jsonl."""
    assert QUEUE.entry(1795238402, "AUTH_wire", "c1", "brief") == QueueEntry(
        ".expiring_objects", "1795219165", "1795238402-AUTH_wire/c1/brief"
    )
    assert QUEUE.entry(1795438398, "AUTH_wire", "c1", "later").container == "1795391938"
    assert QUEUE.entry(1795538398, "AUTH_wire", "c1", "later").container == "1795478338"


def test_names_have_ten_digits_even_at_the_beginning_of_time():
    entry = QUEUE.entry(1, "a", "c", "o")
    assert entry.obj == "0000000001-a/c/o"
    assert len(entry.container) == 10 and entry.container.isdigit()
