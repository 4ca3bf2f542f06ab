"""Verifiers: process reward models and outcome models."""

from deepicd.common.faces import face

HOMES = {
    "KINDS": "verifier",
    "VerifierSettings": "verifier",
    "calibrate": "verifier",
    "encode": "inputs",
    "load": "verifier",
    "marked": "inputs",
    "probabilities": "verifier",
    "save": "verifier",
    "start": "verifier",
    "train": "verifier",
    "whole": "inputs",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
