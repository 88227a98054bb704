"""Tests of what the clients of HTTP APIs share."""
