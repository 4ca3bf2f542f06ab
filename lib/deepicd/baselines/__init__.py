"""Baselines: what a reasoning language model has to beat.

`prior` answers the most frequent code, `nearest_case` the code of the most similar
training notes, `tfidf_lr` is a logistic regression on word n-grams, `embed_mlp` a
small network on frozen embeddings, `encoder` a fine-tuned transformer encoder.
"""

from deepicd.baselines.running import (
    CHOSEN_BY,
    PREDICTION_COLUMNS,
    SYSTEMS,
    run_baselines,
)
from deepicd.baselines.words import nearest_codes, word_features

__all__ = [
    "CHOSEN_BY",
    "PREDICTION_COLUMNS",
    "SYSTEMS",
    "nearest_codes",
    "run_baselines",
    "word_features",
]
