"""Small views of training for the notebooks: completions, before and after."""

import re

import pandas as pd

from deepicd.icd.load import load_tree
from deepicd.rewards.advantages import group_advantages
from deepicd.tasks import prompts
from deepicd.tasks.answers import read_code
from deepicd.tasks.correct import same
from deepicd.tasks.format import TAG
from deepicd.tasks.quotes import share_found
from deepicd.views.marked import marks_in_trace

PRIVATE = "Private data: completions quote the note, so none is shown."


def completion(example: pd.DataFrame, style: str, tag: str = TAG) -> str:
    """Completion of the first row, as the model is to write it.

    Parameters
    ----------
    example : DataFrame
        Columns trace, label.
    style : str
    tag : str
        Of the answer: `Task.tag`.

    Examples
    --------
    >>> row = pd.DataFrame({"trace": ["STEMI"], "label": ["I21.11"]})
    >>> completion(row, "code_only")
    '<diagnosis>I21.11</diagnosis>'
    """
    row = example.iloc[0]
    return prompts.format_completion(row["trace"], row["label"], style, tag)


def samples(predictions: pd.DataFrame, notes: pd.DataFrame, n: int) -> pd.DataFrame:
    """Greedy answers of every system to the first `n` notes, with note and gold.

    Parameters
    ----------
    predictions : DataFrame
        As `deepicd.training.models.generate.predict` gives them.
    notes : DataFrame
        Columns note_id, note, label.

    Returns
    -------
    DataFrame
        Columns system, note_id, note, gold, completion, code.
    """
    chosen = notes.head(n)[["note_id", "note", "label"]]
    greedy = predictions[predictions["sample"] == 0]
    table = greedy.merge(chosen.rename(columns={"label": "gold"}), on="note_id")
    names = ["system", "note_id", "note", "gold", "completion", "code"]
    return table[names].reset_index(drop=True)


def before_and_after(table: pd.DataFrame, private: bool, longest: int = 400) -> str:
    """Tell the most telling note and what each system said about it.

    Parameters
    ----------
    table : DataFrame
        From `samples`.
    private : bool
        Gives a sentence and no text.
    longest : int
        Characters of a completion that are shown.

    Returns
    -------
    str
        Behind each quote ✓ where it stands in the note, ✗ where it does not.
    """
    if private:
        return PRIVATE
    rows = table[table["note_id"] == most_telling(table)]
    note = rows["note"].iloc[0]
    parts = [note, f"right answer: {rows['gold'].iloc[0]}"]
    for row in rows.itertuples():
        # An untrained model may say nothing but line breaks.
        whole = re.sub(r"\n{3,}", "\n\n", row.completion.strip()) or "(blank)"
        said = whole[:longest] + (" …" if len(whole) > longest else "")
        code = row.code if isinstance(row.code, str) else "none"
        parts.append(f"--- {row.system} (answer: {code})\n{ticked(said, note)}")
    return "\n\n".join(parts)


def ticked(said: str, note: str) -> str:
    """A text with ✓ or ✗ behind each quote: it stands in the note, or does not.

    Examples
    --------
    >>> ticked('"Chest pain" and "fever".', "Sudden chest pain")
    '"Chest pain" ✓ and "fever" ✗.'
    """
    for _, end, style in reversed(marks_in_trace(said, note)):
        tick = " ✓" if style == "found" else " ✗"
        said = said[: end + 1] + tick + said[end + 1 :]
    return said


def most_telling(table: pd.DataFrame) -> str:
    """Of the notes that the last system gets right, the one that most others do not.

    Among equals the one where it quotes the note best against the system before; the
    first note where nothing is right.

    Parameters
    ----------
    table : DataFrame
        From `samples`, systems in the order of the training.
    """
    systems = list(dict.fromkeys(table["system"]))
    right = table.assign(right=table["code"] == table["gold"])
    notes = right.groupby("note_id", sort=False)["right"]
    told = notes.last() * (notes.size() - notes.sum())
    pairs = table[table["system"].isin(systems[-2:])]
    better = {
        note: (share_found(rows["completion"].iloc[-1], rows["note"].iloc[0]) or 0.0)
        - (share_found(rows["completion"].iloc[0], rows["note"].iloc[0]) or 0.0)
        for note, rows in pairs.groupby("note_id", sort=False)
    }
    return max(told.index, key=lambda note: (told[note], better.get(note, 0.0)))


def quotes_changed(predictions: pd.DataFrame, notes: pd.DataFrame) -> pd.DataFrame:
    """On how many notes the last system quotes better, as well or worse than others.

    Parameters
    ----------
    predictions : DataFrame
        Greedy and drawn answers of systems, in the order of the training.
    notes : DataFrame
        Columns note_id, note.

    Returns
    -------
    DataFrame
        One row for each earlier system that quotes at all; columns better, same,
        worse: notes, by the share of the quotes that stand in the note.
    """
    greedy = predictions[predictions["sample"] == 0]
    texts = notes.set_index("note_id")["note"]
    said = greedy.pivot(index="note_id", columns="system", values="completion")
    said = said[said.index.isin(texts.index)]
    order = list(dict.fromkeys(greedy["system"]))
    shares = said.apply(
        lambda column: [
            share_found(text, texts[note]) or 0.0 for note, text in column.items()
        ]
    )
    rows = {}
    for system in order[:-1]:
        if shares[system].any():
            change = shares[order[-1]] - shares[system]
            rows[f"{order[-1]} against {system}"] = {
                "better": int((change > 0).sum()),
                "same": int((change == 0).sum()),
                "worse": int((change < 0).sum()),
            }
    return pd.DataFrame(rows, index=["better", "same", "worse"]).T


def accuracy_table(predictions, admissions, tree=None) -> pd.DataFrame:
    """Share of right greedy answers by system and level; unreadable is wrong.

    Parameters
    ----------
    predictions : DataFrame
    admissions : DataFrame
        Columns note_id, label.

    Returns
    -------
    DataFrame
        One row a system; columns notes, well_formed, chapter, category, full, and
        labelled_notes where the predictions have it.
    """
    tree = tree or load_tree()
    gold = admissions.set_index("note_id")["label"]
    rows = {}
    for system, group in predictions[predictions["sample"] == 0].groupby("system"):
        pairs = list(zip(group["note_id"].map(gold), group["code"], strict=True))
        rows[system] = {"notes": len(group), "well_formed": group["well_formed"].mean()}
        for level in tree.shown:
            right = [same(g, c, level, tree) for g, c in pairs]
            rows[system][level] = sum(right) / len(right)
    table = pd.DataFrame(rows).T.round(3)
    if "labelled_notes" in predictions:
        known = predictions.groupby("system")["labelled_notes"].max()
        table["labelled_notes"] = known
    return table


def sampled_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Shares of right completions early and late in the training.

    Parameters
    ----------
    curves : DataFrame
        From `deepicd.training.grpo.train`: step, name, value.

    Returns
    -------
    DataFrame
        One row for well_formed and each level; columns first, last: means over
        the first and the last fifth of the logged steps.

    Examples
    --------
    >>> log = pd.DataFrame({"step": [1, 2], "name": "sampled_accuracy_full",
    ...                     "value": [0.25, 0.5]})
    >>> sampled_table(log).loc["accuracy_full"].tolist()
    [0.25, 0.5]
    """
    rows = curves[curves["name"].str.startswith("sampled_")]
    wide = rows.pivot(index="step", columns="name", values="value").sort_index()
    fifth = max(len(wide) // 5, 1)
    table = pd.DataFrame(
        {"first": wide.head(fifth).mean(), "last": wide.tail(fifth).mean()}
    )
    return table.rename(index=lambda name: name.removeprefix("sampled_")).round(3)


def drawn_table(log: pd.DataFrame | None) -> pd.Series:
    """How much was drawn for rejection-sampling fine-tuning, and how much was right.

    Parameters
    ----------
    log : DataFrame or None
        Columns step, note_id, right: of each round.

    Returns
    -------
    Series
        Answers and notes of the last round, share of right answers, share of notes
        answered right at least once. Empty without a log.

    Examples
    --------
    >>> log = pd.DataFrame({"step": 0, "note_id": ["a", "a", "b"],
    ...                     "right": [True, False, False]})
    >>> drawn_table(log).tolist()
    [3.0, 2.0, 0.333, 0.5]
    """
    if log is None:
        return pd.Series(dtype=float)
    last = log[log["step"] == log["step"].max()]
    ever = last.groupby("note_id")["right"].any()
    counts = {
        "answers drawn": len(last),
        "notes": len(ever),
        "share of right answers": last["right"].mean(),
        "share of notes ever answered right": ever.mean(),
    }
    return pd.Series(counts).round(3)


def group_lesson(rollouts: pd.DataFrame, style: str, tree=None) -> pd.DataFrame:
    """One real group of completions with rewards and advantages, for the student.

    The first group whose rewards differ; in a group of equal rewards every
    advantage is zero and nothing is learned from it.

    Parameters
    ----------
    rollouts : DataFrame
        From `deepicd.training.grpo.train`: step, note_id, label, completion, reward.

    Returns
    -------
    DataFrame
        Columns code, gold, reward, minus mean, advantage; one row a completion.
    """
    tree = tree or load_tree()
    groups = rollouts.groupby(["step", "note_id"], sort=False)
    spread = groups["reward"].transform("std").fillna(0)
    key = spread.idxmax() if spread.gt(0).any() else rollouts.index[0]
    step, note = rollouts.loc[key, ["step", "note_id"]]
    group = groups.get_group((step, note))
    answers = [
        prompts.parse_completion(t, style, tree.tag).answer for t in group["completion"]
    ]
    values = group["reward"].to_numpy(float)
    return pd.DataFrame(
        {
            "code": [(read_code(a, tree) if a else "") or "none" for a in answers],
            "gold": group["label"].tolist(),
            "reward": values,
            "minus mean": values - values.mean(),
            "advantage": group_advantages(values[:, None], [1.0], len(values)),
        }
    ).round(3)
