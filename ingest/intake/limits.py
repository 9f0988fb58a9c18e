"""Bounds of what the intake takes."""

MAX_LINE_BYTES = 1 << 20
