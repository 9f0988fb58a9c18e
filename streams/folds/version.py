"""The version of what the folds mean."""

VERSION = 10
"""Rises with any change of the rules or of the format of the state: everything is then derived again."""
