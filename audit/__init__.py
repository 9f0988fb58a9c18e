"""How the figures are proved: a slow, obvious reader of the log, which shares no rule with the folds."""
