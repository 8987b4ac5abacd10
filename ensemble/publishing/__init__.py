"""From model files to a published version."""
