"""What every part of the platform shares."""
