"""Muon for the matrices inside the network, AdamW for everything else."""

import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315  # quintic iteration of Jordan et al. 2024
_ROUNDS = 5


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Nearest orthogonal matrix, roughly: all singular values near 1.

    `torch.optim.Muon` does this in bfloat16, which a CPU without it computes several
    times slower than float32; hence a few lines of its own here.

    Examples
    --------
    >>> found = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([9.0, 1.0]))))
    >>> bool((found > 0.6).all() and (found < 1.3).all())
    True
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class MuonAndAdamW(torch.optim.AdamW):
    """AdamW, but Muon for the matrices inside the network.

    Muon (Jordan et al. 2024) makes the update of a matrix orthogonal, so that no
    direction of it dominates. It is meant for hidden matrices; embeddings, norms and
    biases are left to AdamW.

    Parameters
    ----------
    model : torch.nn.Module
    learning_rate : float
        Of Muon; AdamW takes `ratio` of it.
    weight_decay : float
    ratio : float
    momentum : float
        Of Muon, with Nesterov's step ahead.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Embedding(4, 2), torch.nn.Linear(2, 2))
    >>> [len(g["params"]) for g in MuonAndAdamW(net, 0.02).param_groups]
    [1, 2]
    """

    def __init__(
        self,
        model,
        learning_rate: float,
        weight_decay: float = 0.01,
        ratio: float = 0.15,
        momentum: float = 0.95,
    ):
        tables = {
            id(p)
            for module in model.modules()
            if isinstance(module, torch.nn.Embedding)
            for p in module.parameters()
        }
        chosen = [p for p in model.parameters() if p.requires_grad]
        hidden = [p for p in chosen if p.ndim == 2 and id(p) not in tables]
        rest = [p for p in chosen if p.ndim != 2 or id(p) in tables]
        groups = [
            {"params": hidden, "lr": learning_rate, "momentum": momentum},
            {"params": rest, "lr": ratio * learning_rate},
        ]
        super().__init__(groups, betas=(0.9, 0.95), weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure=None):
        """Update all weights."""
        for group in self.param_groups:
            if "momentum" in group:
                self._muon(group)
        return super().step(closure)

    def _muon(self, group: dict) -> None:
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if "past" not in state:
                state["past"] = torch.zeros_like(p)
                state["step"] = torch.tensor(0.0)  # AdamW looks for it when it loads
            past = state["past"]
            past.lerp_(p.grad, 1 - group["momentum"])
            ahead = p.grad.lerp(past, group["momentum"])
            scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(orthogonal(ahead), alpha=-group["lr"] * scale)
            p.grad = None  # so that AdamW passes over it
