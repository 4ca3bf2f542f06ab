"""How many labelled notes each model has learned from."""

from collections.abc import Iterable, Mapping

import pandas as pd

COLUMN = "labelled_notes"


def count_labelled_notes(
    predictions: pd.DataFrame,
    admissions: pd.DataFrame,
    seen: Mapping[str, Iterable[str]],
) -> pd.DataFrame:
    """Add the column `labelled_notes`: training notes whose label a system has seen.

    Parameters
    ----------
    predictions : DataFrame
        Column system.
    admissions : DataFrame
        Columns note_id, split. Where it has the column `asked`, prompts hold
        candidates, and those come from the labels of all training notes: every
        system has seen them all.
    seen : mapping of str to iterable of str
        note_id of the notes that a system has learned from; a system that is not
        named has seen none.

    Examples
    --------
    >>> notes = pd.DataFrame({"note_id": ["a", "b"], "split": ["train", "test"]})
    >>> answers = pd.DataFrame({"system": ["base", "sft"]})
    >>> count_labelled_notes(answers, notes, {"sft": ["a"]})[COLUMN].tolist()
    [0, 1]
    """
    train = admissions.loc[admissions["split"] == "train", "note_id"]
    if "asked" in admissions:
        return predictions.assign(**{COLUMN: len(train)})
    known = {name: int(train.isin(set(ids)).sum()) for name, ids in seen.items()}
    numbers = predictions["system"].map(known).fillna(0).astype(int)
    return predictions.assign(**{COLUMN: numbers})


def paid_notes(prompts, spec, *logs: pd.DataFrame | None) -> set[str]:
    """Notes whose labels a reward has seen.

    Parameters
    ----------
    prompts : datasets.Dataset
        From `grpo.prompt_set`.
    spec : RewardSpec
        Pay for evidence learns from the labels of all prompts what is usual.
    logs : DataFrame or None
        Rollouts of each training, column note_id; None where there was none. Where
        groups were shown answers (column shown), the labels of all prompts said which
        quotes speak for a code.

    Returns
    -------
    set of str
        note_id: of all prompts, or without pay for evidence and without shown answers
        of the drawn ones.
    """
    logs = [log for log in logs if log is not None]
    if spec.weight_of("evidence") or any("shown" in log for log in logs):
        return set(prompts["note_id"])
    return {note for log in logs for note in log["note_id"]}
