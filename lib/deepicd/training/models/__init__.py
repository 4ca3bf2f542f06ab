"""Models: making, loading, adapting, saving, and answering with them."""

from deepicd.common.faces import face

HOMES = {
    "SIZES": "sizes",
    "Size": "sizes",
    "get_size": "sizes",
    "make_model": "sizes",
    "Lora": "loading",
    "adapter_size": "loading",
    "add_adapter": "loading",
    "describe": "loading",
    "device": "loading",
    "in_words": "merging",
    "kept": "merging",
    "load": "loading",
    "prune": "pruning",
    "removed": "loading",
    "save": "merging",
    "save_adapter": "merging",
    "unsloth_adapter_arguments": "loading",
    "unsloth_arguments": "loading",
    "weights_hash": "loading",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
