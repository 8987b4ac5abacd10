"""Reports of refits: what they say, the charts, the page."""
