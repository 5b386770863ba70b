"""The cascade (arXiv 1603.08486) from data to scores: MeSH annotations, learnt twice."""
