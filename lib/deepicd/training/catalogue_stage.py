"""Before the traces: questions and answers from the ICD-10-CM tables."""

import dataclasses

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.icd.tree import IcdTree
from deepicd.training import catalogue, encoding, sft


def learn_catalogue(
    model,
    tokenizer,
    tree,
    codes,
    settings: sft.SftSettings,
    folder,
    style,
    report=None,
    track=None,
):
    """First stage: questions and answers from the ICD-10-CM tables.

    Parameters
    ----------
    model, tokenizer
        From `deepicd.training.models`; changed in place.
    tree : IcdTree
    codes : iterable of str
        Codes of the training split; their neighbours are asked about too.
    settings : SftSettings
        ``catalogue_steps`` of them; 0 gives the model back.
    folder : path-like
        Checkpoints.
    style : str
        Of the answers that are a code.
    report, track
        See `sft.train`.

    Returns
    -------
    (model, DataFrame, dict)
        Model, curves named ``catalogue_…``, counts kept and dropped.

    Raises
    ------
    UserError
        Where there are steps, but the labels are not ICD-10-CM's.
    """
    steps = settings.catalogue_steps
    if steps == 0:
        return model, pd.DataFrame(columns=["step", "name", "value"]), {}
    if not isinstance(tree, IcdTree):
        raise UserError(
            found=f"catalogue_steps {steps}, and labels at {', '.join(tree.levels)}",
            expected="the task principal_diagnosis: the questions are about ICD-10-CM",
            do="take catalogue_steps out of sft_options",
        )
    asked = catalogue.neighbourhood(codes, tree)
    questions = catalogue.build_questions(tree, asked, settings.seed, style=style)
    data, counts = encoding.encode_questions(questions, tokenizer, settings.max_length)
    own = dataclasses.replace(
        settings, steps=steps, validate_every=0, catalogue_steps=0
    )
    model, curves, _ = sft.train(
        model,
        tokenizer,
        data,
        None,
        own,
        folder,
        report=report,
        track=track and track / "catalogue",
    )
    return model, curves.assign(name="catalogue_" + curves["name"]), counts
