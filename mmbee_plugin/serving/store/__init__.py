"""Stores of user records: one interface, one file for each backend. Redis holds the same bytes as the mapped file."""
