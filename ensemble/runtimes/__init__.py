"""What executes a member; each runtime's library is imported in one file only."""
