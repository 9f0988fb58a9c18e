"""What we claim, measured side by side: each program prints ratios of two things measured in one run."""
