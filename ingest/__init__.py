"""What enters: one door that everything passes, an adapter per source format, and the decisions of people."""
