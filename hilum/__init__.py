"""Hilum reads chest X-rays into draft radiology reports, and says how good they are.

For research and education. It drafts; a physician decides.
"""

__version__ = "0.1.0"
