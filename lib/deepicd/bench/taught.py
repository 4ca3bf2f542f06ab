"""A model that has learned to end its answers, for benchmarks of training.

One that never ends would be timed on completions of full length.
"""

from deepicd import encoding, models
from deepicd.sft import SftSettings, train
from deepicd.tokenizer import train_tokenizer


def taught_model(notes, folder: str):
    """Teach a model of the cpu profile's size in a few steps.

    Parameters
    ----------
    notes : DataFrame
        Columns note, icd_code, trace.
    folder : str
        Where to keep it.

    Returns
    -------
    (str, PreTrainedTokenizerBase)
        Folder of the model, and its tokenizer.
    """
    texts = encoding.rendered(notes["note"], notes, "reasoning", "brief")
    tokenizer = train_tokenizer(texts, 4096)
    net = models.make_model(tokenizer, "2m", 0)
    data, _ = encoding.encode(notes, tokenizer, "reasoning", "brief", 512)
    settings = SftSettings(steps=60, batch_size=16, validate_every=0, save_every=1000)
    net, _, _ = train(net, tokenizer, data, None, settings, f"{folder}/teaching")
    models.save(net, tokenizer, f"{folder}/model")
    return f"{folder}/model", tokenizer
