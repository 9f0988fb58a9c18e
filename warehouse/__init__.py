"""The warehouse: ClickHouse's schema, the sink that fills it, and the embedded server."""
