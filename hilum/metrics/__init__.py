"""Pure measures of text, findings, calibration and grounding, with their intervals."""
