"""Pages, a module each: layout only."""
