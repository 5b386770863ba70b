"""What a report says: sections, normal form, tokens, findings. No torch, no disk."""
