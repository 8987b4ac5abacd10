"""Runs one batch on the members of one servable and pools their scores."""
