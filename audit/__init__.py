"""Audit the ledger's figures: a slow, simple reader of the log, which shares no rule with the folds."""
