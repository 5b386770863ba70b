"""The parts of the findings labeller: tokens, tables, phrases, scopes."""
