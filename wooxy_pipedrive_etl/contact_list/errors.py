"""What can go wrong with a Default Contact List. Each message is one sentence for the user."""


class ListError(Exception):
    """The list can't be read or changed as requested."""
