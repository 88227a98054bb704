"""Our own state, on both databases."""
