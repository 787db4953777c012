"""One page, one module: layout only."""
