"""Tests of the Pipedrive client."""
