"""Spans of OpenTelemetry as calls to models."""
