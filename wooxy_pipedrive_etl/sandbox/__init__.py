"""Accounts on this machine, each as strict and as odd as the real one. Nothing of ours is imported here."""
