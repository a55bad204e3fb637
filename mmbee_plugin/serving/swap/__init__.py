"""Holds the serving scorer and swaps it for a newly published bundle's. Requests and routes are in `service`."""
