"""Obtaining, checking and batching data sets."""
