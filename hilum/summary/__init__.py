"""Summarising: findings and indication to a draft of the impression, as `hilum summarise` does it."""
