"""What can go wrong with our own state; each message is one sentence for a person."""


class StoreError(Exception):
    """The state can't be read or written as asked."""
