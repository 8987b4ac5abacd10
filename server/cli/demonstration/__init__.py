"""What `unisono demo` is made of."""
