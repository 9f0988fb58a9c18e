"""The version of what the folds mean."""

VERSION = 3
"""Of what the folds mean, and of how their rows are written: where it changes, what was derived is derived anew."""
