"""What `objstore status` knows of a cluster's other nodes: what the holder's agent told this node's agent last."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from objstore.cluster.channel import ChannelError
from objstore.cluster.client import connect, is_of_several
from objstore.cluster.directory import ClusterDirectory
from objstore.cluster.node_state import ClusterFacts
from objstore.cluster.verdict import OtherNodes
from objstore.core.errors import DomainError
from objstore.runtime.listen import shown

ASK_S = 0.4
"""Of the two seconds that status has: the agent is on this machine and answers from memory."""
SILENT_S = 25.0
"""Three rounds of the holder: a node, or the holder itself, that was not heard of for so long is named."""


def of_other_nodes(directory: ClusterDirectory, local: Collection[str]) -> OtherNodes:
    """local: names of the nodes whose files have been looked at already. Raises nothing: a fault is a fact."""
    if not is_of_several(directory):
        return OtherNodes()
    try:
        client = connect(directory)
        facts = client.local_facts(ASK_S)
    except ChannelError as error:
        return OtherNodes(unknown=(("", f"other nodes: the agent of this node does not answer: {error}"),))
    except DomainError as error:
        return OtherNodes(unknown=(("", f"other nodes: {error}"),))
    digests = {
        node.name: node.rings.digests
        for node in facts.nodes
        if node.name not in local and node.age_s is not None and node.age_s <= SILENT_S
    }
    holding = client.members.holding
    where = f"{facts.holder} ({shown((holding.ip, holding.agent_port))})"
    return OtherNodes(digests, tuple(_unknown(facts, where)))


def _unknown(facts: ClusterFacts, where: str) -> Iterator[tuple[str, str]]:
    if not facts.nodes:
        yield facts.holder, f"other nodes: the holder of the rings, {where}, has not been heard of yet"
    elif facts.age_s > SILENT_S:
        yield facts.holder, f"other nodes: the holder of the rings, {where}, is silent since {facts.age_s:.0f} s"
        return
    for node in facts.nodes:
        if node.problem:
            since = "" if node.age_s is None else f" (it answered {node.age_s:.0f} s ago)"
            yield node.name, f"{node.problem}{since}"
        elif node.age_s is None or node.age_s > SILENT_S:
            yield node.name, f"{node.name}: its agent does not answer"
    for text in facts.foreign:
        yield facts.holder, text
