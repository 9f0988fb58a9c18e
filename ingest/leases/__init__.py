"""Leases that the HTTP API holds by itself for grants that are asked often."""
