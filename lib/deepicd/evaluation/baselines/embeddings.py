"""Frozen embeddings of a note, read by a small network (MLP)."""

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from torch import nn

from deepicd.evaluation.baselines.fitting import epochs, loss_of
from deepicd.evaluation.baselines.label_vectors import (
    known_of,
    label_layer,
    with_leads,
)
from deepicd.evaluation.baselines.material import Material, Trials

DIMENSIONS, HIDDEN, EPOCHS, EVERY = 256, 256, 40, 5


def frozen_embeddings(material: Material) -> Trials:
    """Embeddings that are not trained, and one hidden layer that is.

    Offline the embedding is a truncated SVD of TF-IDF (latent semantic analysis);
    with a hub name or folder it is the mean of an encoder's last hidden states.
    """
    name = material.options["embedder"]
    vectors = svd_vectors(material) if name == "svd" else hidden_means(material, name)
    vectors = _scaled(vectors)
    for loss in material.options["losses"]:
        for epoch, answer in _train(material, vectors, loss):
            for lead, led in with_leads(answer, material):
                yield f"{name}, {loss}, epoch={epoch}{lead}", led


def _train(material: Material, vectors: list[torch.Tensor], loss: str):
    width, classes = vectors[0].shape[1], len(material.labels)
    network = mlp(width, classes, material.seed, known_of(material))
    targets = torch.as_tensor(material.numbers)

    def batches(order):
        for rows in torch.as_tensor(order).split(64):
            yield vectors[0][rows], targets[rows]

    def answer(part):
        with torch.no_grad():
            return network.eval()(vectors[part]).numpy()

    steps = -(-len(targets) // 64)
    for epoch in epochs(
        network,
        batches,
        loss_of(loss, material),
        len(targets),
        EPOCHS,
        steps,
        1e-3,
        material.seed,
    ):
        if epoch % EVERY == 0:
            yield epoch, answer


def mlp(
    width: int, classes: int, seed: int, known: torch.Tensor | None = None
) -> nn.Sequential:
    """One hidden layer between vectors of this width and the classes.

    What is `known` of the classes makes the last layer: see `label_vectors`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Dropout(0.1),
            nn.Linear(width, HIDDEN),
            nn.GELU(),
            nn.Dropout(0.3),
            label_layer(HIDDEN, classes, known),
        )


def svd_vectors(material: Material) -> list[np.ndarray]:
    """Truncated SVD of TF-IDF, fitted on the training notes, rows of unit length."""
    train = material.words[0]
    most = min(DIMENSIONS, train.shape[0] - 1, train.shape[1] - 1)
    if most < 1:
        return [part.toarray() for part in material.words]
    model = TruncatedSVD(most, random_state=material.seed).fit(train)
    vectors = [model.transform(part) for part in material.words]
    return [
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9) for x in vectors
    ]


def hidden_means(material: Material, name: str) -> list[np.ndarray]:
    """Mean of the last hidden states of a pretrained encoder over each note."""
    from deepicd.evaluation.baselines.encoder import Reader, load_pretrained

    length = material.options["encoder_length"]
    network, tokenizer = load_pretrained(name, length)
    reader = Reader(tokenizer, length)
    found = []
    with torch.no_grad():
        for part in range(3):
            ids = reader.ids(material.notes(part))
            order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
            means = np.empty((len(ids), network.config.hidden_size), np.float32)
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                tokens, mask = reader.pad([ids[i] for i in rows])
                states = network.eval()(
                    input_ids=tokens, attention_mask=mask
                ).last_hidden_state
                kept = mask[..., None].to(states.dtype)
                means[rows] = ((states * kept).sum(1) / kept.sum(1)).numpy()
            found.append(means)
    return found


def _scaled(vectors: list[np.ndarray]) -> list[torch.Tensor]:
    """Zero mean and, over all dimensions together, unit variance on train.

    One scale for all: the last dimensions of an SVD are noise and stay small.
    """
    mean = vectors[0].mean(0)
    spread = (vectors[0] - mean).std() + 1e-6
    return [torch.as_tensor((x - mean) / spread, dtype=torch.float32) for x in vectors]
