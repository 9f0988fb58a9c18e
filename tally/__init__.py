"""The command ``tally``: each service of the platform as a process, and all of them together."""
