"""The invariants of the whole program: what holds after every sync, whatever came before it and whenever it was
killed."""
