"""Bounds of what the intake takes."""

MAX_LINE = 1 << 20
