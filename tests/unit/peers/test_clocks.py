"""peers/clocks.py: whether this clock is ahead of the others', told by the Date of their answers."""

from email.utils import formatdate

import pytest

from objstore.peers.clocks import seconds_ahead
from objstore.peers.failure import NodeFailure
from objstore.peers.node_client import Reply
from objstore.ring.model import Device, Node

NOW = 1_800_000_000.0


class Nodes:
    """Servers by port, each with a Date, or none, or no answer (None)."""

    def __init__(self, *dates):
        self.nodes = [
            Node(Device(number, 1, 1, "127.0.0.1", 6200 + number, "127.0.0.1", 6200 + number, "d1", 1.0))
            for number in range(len(dates))
        ]
        self.dates = dates
        self.asked = []

    def ask_all(self, nodes, method, path):
        self.asked = list(nodes)
        return [self._answer(node) for node in self.asked]

    def _answer(self, node):
        date = self.dates[node.id]
        if date is None:
            return NodeFailure("silent")
        return Reply(node, 200, {} if date == "" else {"date": date})


def at(offset_s):
    return formatdate(NOW + offset_s, usegmt=True)


@pytest.mark.parametrize(
    ("dates", "ahead"),
    [
        ([at(0), at(0), at(0)], 0),
        ([at(-3600)] * 3, 3600),
        ([at(3600)] * 3, 0),
        ([at(-2)] * 3, 0),
        ([at(-3600), at(0), at(0)], 0),
        ([at(-3600), at(-3600), at(0)], 3600),
        ([None, "", "junk", at(-60)], 60),
        ([None, None], 0),
        ([], 0),
        ([at(-60), at(-3600), None], 1830),
    ],
)
def test_the_middle_of_those_that_answer_counts(dates, ahead):
    nodes = Nodes(*dates)
    assert seconds_ahead(nodes, nodes.nodes, lambda: NOW) == ahead


def test_one_device_of_each_server_is_asked_and_not_of_endlessly_many():
    nodes = Nodes(*[at(0)] * 100)
    twice = [*nodes.nodes[:3], *nodes.nodes[:3]]
    seconds_ahead(nodes, twice, lambda: NOW)
    assert len(nodes.asked) == 3
    seconds_ahead(nodes, nodes.nodes, lambda: NOW)
    assert len(nodes.asked) == 16
