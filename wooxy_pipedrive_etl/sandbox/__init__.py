"""Accounts served on this machine, for demos and tests, each as strict and as odd as the real one.

Not here: anything of the program itself. The sandbox imports nothing from outside this package.
"""
