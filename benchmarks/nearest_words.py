"""The words nearest to twenty clinical terms, by word2vec and by fastText, as the table of docs/vectors.md.

    python benchmarks/nearest_words.py --data DIR [--split clean] [--count 6]

DIR is a data set's folder (`hilum data get openi --to DIR`). Learns from the split's training reports alone.
Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hilum.data.texts import training_texts
from hilum.text import embeddings
from hilum.text.embeddings import Method

TERMS = (
    "effusion", "pneumothorax", "cardiomegaly", "opacity", "consolidation", "atelectasis", "edema", "emphysema",
    "nodule", "granuloma", "fracture", "scoliosis", "catheter", "pacemaker", "sternotomy", "aorta", "left", "mild",
    "stable", "normal",
)  # fmt: skip
UNSEEN = ("cardiomegally", "effussion", "pneumonectomy")
"""Misspelt, or never said in these reports: fastText alone has vectors for them."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="clean")
    parser.add_argument("--count", type=int, default=6)
    asked = parser.parse_args()
    texts = training_texts(asked.data, asked.split)
    learnt = {method: embeddings.train(texts, method=method) for method in Method}
    words = {word for text in texts for word in text.split()}
    size = len(learnt[Method.WORD2VEC].words)
    print(
        f"{len(texts):,} texts, {sum(len(text.split()) for text in texts):,} words, {size:,} with a vector.\n"
    )
    print("| term | word2vec | fastText |\n|---|---|---|")
    for term in TERMS:
        print(f"| {term} | {' | '.join(row(learnt[method], term, asked.count) for method in Method)} |")
    for term in UNSEEN:
        said = "said" if term in words else "never said"
        print(f"| *{term}* ({said}) | – | {row(learnt[Method.FASTTEXT], term, asked.count)} |")


def row(vectors: embeddings.WordVectors, term: str, count: int) -> str:
    return ", ".join(f"{word} {cosine:.2f}" for word, cosine in vectors.nearest(term, count))


if __name__ == "__main__":
    main()
