"""What is told: metrics and logs."""
