"""The networks that members are made of, one small function each."""
