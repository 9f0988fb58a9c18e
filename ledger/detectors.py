"""The names of detectors in sentences (pure)."""

_DESCRIPTIONS = {
    "repeated_tool": "the same tool with the same arguments and the same result, again and again",
    "repeated_cycle": "the same few calls, round and round",
    "repeated_result": "a tool that answers what it has answered before, whatever it is asked",
    "repeated_error": "the same error, tried again without waiting longer",
    "fast_spend": "spends much faster than the agent ever did, whatever it learns",
    "agent_depth": "agents that start agents that start agents, ten deep",
    "agents_alike": "dozens of agents, one after the other, of which each begins as the one before",
    "context_growth": "a prompt that gets longer with each call, while nothing new is learned",
    "repeated_prompt": "prompts that hardly differ, each longer by the answer before",
}


def spell_detector(detector: str) -> str:
    """Return the words of a detector's name: ``repeated tool`` for ``repeated_tool``."""
    return detector.replace("_", " ")


def describe_detector(detector: str) -> str:
    """Return what a detector finds, as half a sentence; its name for one that this release does not know."""
    return _DESCRIPTIONS.get(detector, spell_detector(detector))
