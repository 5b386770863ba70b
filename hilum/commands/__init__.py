"""The commands of ``hilum``: each parses, makes one call and prints."""
