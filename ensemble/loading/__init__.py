"""From bytes in the store to a servable, trusting nothing on the way."""
