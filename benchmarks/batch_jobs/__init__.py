"""What benchmarks/batch.py measures: the rows, the ways to score them, and how it is told."""
