"""A data set in the layouts that other programs read; its terms and what is simulated go along."""
