"""Stands for ray, whose last release that RecBole takes has no build for Python 3.12 and later."""
