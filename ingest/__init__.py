"""Ingestion: one intake that every event passes, an adapter for each source format, decisions, and the HTTP API."""
