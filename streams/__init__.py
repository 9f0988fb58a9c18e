"""What follows from the log: pure folds in one chain, and the runtime that hosts them."""
