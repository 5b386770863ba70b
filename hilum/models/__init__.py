"""Encoders, attention, decoders and what is built of them."""
