"""Derive the ledger from the log: pure folds in one chain, and the runtimes that host them."""
