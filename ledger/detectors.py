"""The name of a detector in sentences (pure)."""


def spell_detector(detector: str) -> str:
    """Return the words of a detector's name: ``repeated tool`` for ``repeated_tool``."""
    return detector.replace("_", " ")
