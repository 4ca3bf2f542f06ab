"""Baselines: what a reasoning language model has to beat.

`prior` answers the most frequent code, `nearest_case` the code of the most similar
training notes, `tfidf_lr` is a logistic regression on word n-grams, `embed_mlp` a
small network on frozen embeddings, `encoder` a fine-tuned transformer encoder.
`tfidf_lr_traced` is `tfidf_lr` on those notes alone that SFT learns from.
"""

from deepicd.common.faces import face

HOMES = {
    "CHOSEN_BY": "search",
    "PREDICTION_COLUMNS": "search",
    "SYSTEMS": "search",
    "nearest_votes": "counting_words",
    "on_traced_notes": "search",
    "run_baselines": "search",
    "word_features": "material",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
