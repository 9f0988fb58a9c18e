"""The product's claims, measured: each program prints ratios of two things measured in one run."""
