"""Dataset folders: reading, validating, converting and generating them."""
