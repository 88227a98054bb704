"""The acts of a person on a connection, and the steps of a run: where Pipedrive, mapping, list and store meet.

Nothing of Dagster, of the command line or of pages is here; they all call this.
"""
