"""Accounts on this machine, each as strict and as odd as the real one. Imports nothing else from this package."""
