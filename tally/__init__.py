"""The command ``tally``: each part of the platform as a process, and all of them together."""
