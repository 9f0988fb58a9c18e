"""Code that all folders of the platform share."""
