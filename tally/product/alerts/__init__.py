"""Alerts as commands show them, and what people do about them."""
