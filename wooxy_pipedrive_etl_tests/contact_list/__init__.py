"""Tests of the Default Contact List."""
