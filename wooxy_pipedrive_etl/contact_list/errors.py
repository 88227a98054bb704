"""What can go wrong with a Default Contact List; each message is one sentence for a person."""


class ListError(Exception):
    """The list can't be read or changed as asked."""
