"""The demo: a small model of a fixed seed, made once, its reports, and the service with authors on the air."""
