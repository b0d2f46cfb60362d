"""What other nodes' clocks say, for who must not act on a clock of its own that is ahead: what is deleted because its
time has come is gone, and no other node asks again whether it had.

Every answer of a server has a Date (whole seconds); who does not answer says nothing.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable
from email.utils import parsedate
from statistics import median

from objstore.peers.node_client import NodeClient, Reply
from objstore.ring.model import Node

ASKED_AT_MOST = 16
TOLERANCE_S = 2.0
"""A Date is up to a second old, and an answer takes its time."""


def seconds_ahead(client: NodeClient, nodes: Iterable[Node], now_s: Callable[[], float]) -> float:
    """How far this clock is ahead of the middle one of the nodes' clocks; 0 when it is not, or nobody answers.

    nodes: of a ring; one device of each server is asked, of ASKED_AT_MOST servers. now_s: this clock, Unix seconds."""
    asked = list({node.replication_address: node for node in nodes}.values())[:ASKED_AT_MOST]
    answers = client.ask_all(asked, "OPTIONS", "/0")
    now = now_s()
    leads = [now - said for answer in answers if isinstance(answer, Reply) and (said := _date_s(answer)) is not None]
    lead = median(leads) if leads else 0.0
    return lead if lead > TOLERANCE_S else 0.0


def _date_s(answer: Reply) -> float | None:
    parsed = parsedate(answer.headers.get("date", ""))
    try:
        return None if parsed is None else float(calendar.timegm(parsed))
    except (ValueError, OverflowError):
        return None
