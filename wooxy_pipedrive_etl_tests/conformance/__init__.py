"""The invariants of the whole: what holds after any sync, whatever came before it, and whenever it was killed."""
