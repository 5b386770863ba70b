"""Pixels: reading films, mapping regions back to them, and the simulated radiograph."""
