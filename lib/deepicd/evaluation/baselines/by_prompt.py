"""The language model without training, asked in other ways: baselines by prompt.

`base_shots` sees worked examples of the training split in its prompt;
`base_code_only` answers without reasoning. Both are the untrained model that is
asked without examples as system `base`.
"""

import pandas as pd

from deepicd.common.parameters import choice
from deepicd.tasks import prompts
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training.encoding import asked_of, prompt_ids
from deepicd.training.models import generate
from deepicd.training.sft import SftSettings

SHOTS, CODE_ONLY = "base_shots", "base_code_only"
CHOICES = ("auto", "always", "never")


def wanted(asked: str, pretrained: bool) -> bool:
    """Whether to run them: `auto` only where there is something to show.

    Raises
    ------
    UserError
        For another choice.

    Examples
    --------
    >>> wanted("auto", pretrained=False), wanted("always", pretrained=False)
    (False, True)
    """
    choice("prompt_baselines", asked, CHOICES)
    return asked == "always" or (asked == "auto" and pretrained)


def choose_shots(examples: pd.DataFrame, without, tree, n: int, seed: int):
    """Draw worked examples: short ones, of different chapters.

    Drawn from the shortest tenth of the examples (at least eight for each one asked
    for), so that several fit into a prompt. Chapters repeat only where there are
    fewer than `n`.

    Parameters
    ----------
    examples : DataFrame
        Columns note_id, note, label, trace; of the training split.
    without : DataFrame
        Columns note_id, note: the notes to be answered, which are never examples,
        not even under another note_id.
    tree : deepicd.icd.IcdTree
    n : int
    seed : int

    Returns
    -------
    DataFrame
        Columns of `examples`; n rows or as many as there are, the shortest first.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({"note_id": list("abc"), "trace": "So this.",
    ...     "note": ["Chest pain.", "Chest pain, again.", "Cough and fever today."],
    ...     "label": ["I21.4", "I21.9", "J18.9"]})
    >>> shots = choose_shots(notes, notes.head(0), load_tree(), 2, seed=0)
    >>> [code[0] for code in shots["label"]]
    ['I', 'J']
    """
    apart = ~examples["note_id"].isin(without["note_id"])
    apart &= ~examples["note"].isin(without["note"])
    pool = examples[apart].drop_duplicates("note").reset_index(drop=True)
    lengths = pool["note"].str.len() + pool["trace"].str.len()
    pool = pool.assign(length=lengths).sort_values("length", kind="stable")
    pool = pool.head(max(len(pool) // 10, 8 * n)).sample(frac=1, random_state=seed)
    chapters = [tree.at(code, tree.levels[0]) for code in pool["label"]]
    repeated = pd.Series(chapters, index=pool.index, dtype=object).duplicated()
    chosen = pool.loc[repeated.sort_values(kind="stable").index].head(n)
    return chosen.sort_values("length", kind="stable").drop(columns="length")


def with_shots(
    notes,
    tokenizer,
    style: str,
    instruction: str,
    shots,
    limit: int,
    task: Task = PRINCIPAL_DIAGNOSIS,
):
    """Prompt of each note with as many examples as fit; nothing is cut.

    Parameters
    ----------
    notes : iterable of str
    tokenizer : PreTrainedTokenizerBase
    style, instruction : str
        See `deepicd.tasks.prompts.build_messages`.
    shots : list of (note, completion)
        A note whose prompt would be too long is asked with fewer of them, the last
        ones left out first; with none it is asked as `base` is.
    limit : int
        Most tokens of a prompt with examples.
    task : Task
        What is asked.

    Returns
    -------
    (list of list of int, list of int)
        Token ids, and the number of examples in each prompt.
    """
    notes = list(notes)
    given = (tokenizer, style, instruction)
    asked = prompt_ids(notes, *given, task=task)
    used = [0] * len(notes)
    for k in range(1, len(shots) + 1):
        longer = prompt_ids(notes, *given, shots[:k], task)
        for i, ids in enumerate(longer):
            if len(ids) <= limit:
                asked[i], used[i] = ids, k
    return asked, used


def answer(model, notes, examples, steps: SftSettings, pretrained: bool, **settings):
    """Answer notes with the untrained model, asked in each of the other ways.

    Parameters
    ----------
    model : PreTrainedModel
    notes, examples : DataFrame
        As `without` and `examples` of `choose_shots`.
    steps : SftSettings
        Its prompt_baselines, shots and max_length are used: prompt and answer
        together have at most that many tokens.
    pretrained : bool
        False where the weights are random.
    settings : dict
        Passed to `generate.predict`: tokenizer, tree, seed, style, instruction,
        max_new_tokens, …

    Returns
    -------
    (list of DataFrame, dict)
        Predictions, one table a system, none where they are not wanted; and for
        arguments.json: shots (note_id of each example) and notes_by_shots (how many
        notes were asked with how many examples).
    """
    tables, facts = [], {}
    asked_for = wanted(steps.prompt_baselines, pretrained)
    if asked_for and steps.shots > 0:
        asked, facts = prompts_with_shots(notes, examples, steps, settings)
        tables += [
            generate.predict(model, notes, system=SHOTS, asked=asked, **settings)
        ]
    if asked_for and settings["style"] != "code_only":
        plain = settings | {"style": "code_only"}
        tables += [generate.predict(model, notes, system=CODE_ONLY, **plain)]
    return tables, facts


def prompts_with_shots(
    notes, examples, steps: SftSettings, settings: dict
) -> tuple[list[list[int]], dict]:
    """Prompts with worked examples, and what they hold; as `answer` asks and tells."""
    style, tokenizer = settings["style"], settings["tokenizer"]
    task = settings.get("task", PRINCIPAL_DIAGNOSIS)
    shown = choose_shots(examples, notes, settings["tree"], steps.shots, steps.seed)
    pairs = [
        (note, prompts.format_completion(row.trace, row.label, style, task.tag))
        for note, row in zip(asked_of(shown), shown.itertuples(), strict=True)
    ]
    limit = steps.max_length - settings["max_new_tokens"]
    asked, used = with_shots(
        asked_of(notes), tokenizer, style, settings["instruction"], pairs, limit, task
    )
    counts = pd.Series(used, dtype=int).value_counts().sort_index(ascending=False)
    by_shots = {str(k): int(n) for k, n in counts.items()}
    return asked, {"shots": shown["note_id"].tolist(), "notes_by_shots": by_shots}
