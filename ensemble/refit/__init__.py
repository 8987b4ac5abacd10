"""The weights' way: predictions, objective, solver, gate, published version."""
