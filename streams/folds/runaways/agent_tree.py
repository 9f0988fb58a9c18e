"""The agents of a session: how deep they started each other, and how many began alike (pure)."""

import msgspec
from msgspec.structs import replace

MAX_CALLS = 16
"""A call that starts an agent is among so many of the last of its session, or the agent's depth is taken for one."""


class TreeCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A recent call: its id, its agent, and how many agents are above that."""

    id: str
    agent: str
    depth: int


class AgentTree(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``depth`` is the greatest so far, ``alike`` how many agents in a row began with ``first``."""

    calls: tuple[TreeCall, ...] = ()
    depth: int = 0
    alike: int = 0
    first: str = ""


def add_call(tree: AgentTree, id: str, agent: str, parent: str | None) -> AgentTree:
    """Return the tree with one more call of an agent, which the parent's agent started where it is another."""
    above = next((call for call in reversed(tree.calls) if call.id == parent), None)
    if above is None:
        depth = next((call.depth for call in reversed(tree.calls) if call.agent == agent), 0 if parent is None else 1)
    else:
        depth = above.depth + (above.agent != agent)
    calls = (*tree.calls, TreeCall(id, agent, depth))[-MAX_CALLS:]
    return replace(tree, calls=calls, depth=max(tree.depth, depth))


def add_agent(tree: AgentTree, first: str) -> AgentTree:
    """Return the tree after an agent of the session began, with what its first call was asked and brought."""
    return replace(tree, first=first, alike=tree.alike + 1 if first and first == tree.first else 1)
