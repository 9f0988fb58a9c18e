"""``python -m tally``."""

from tally.main import main

main()
