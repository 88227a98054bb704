"""Keeps the Default Contact List of a Wooxy domain equal to the persons of a Pipedrive account."""
