"""Step labels by continuation: does the policy still reach the right answer from here?

What checks cannot see, such as a true finding that leads astray, shows in what follows
it (Wang et al. 2024, "Math-Shepherd"). The last step needs no drawing: it is as right
as the answer.
"""

from collections.abc import Callable

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.step_labels import answered_right
from deepicd.training.models.chat import frame_of
from deepicd.training.models.generate import complete
from deepicd.training.verifier.inputs import prompts_of, said_ids


def continued(
    model,
    tokenizer,
    table: pd.DataFrame,
    draws: int,
    *,
    tree,
    style: str = "reasoning",
    instruction: str = "brief",
    task: Task = PRINCIPAL_DIAGNOSIS,
    seed: int = 0,
    temperature: float = 0.9,
    max_new_tokens: int = 96,
    batch_size: int = 64,
    report: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Label steps by what the policy makes of them.

    Parameters
    ----------
    model, tokenizer
        The policy.
    table : DataFrame
        Of `deepicd.traces.of_answers`.
    draws : int
        Continuations behind each step but the last: one greedy, the others drawn.
    tree : LabelSpace
    style, instruction, task
        Of the prompts.
    seed, temperature, batch_size, report
        As of `deepicd.training.models.generate.predict`.
    max_new_tokens : int
        Longest continuation.

    Returns
    -------
    DataFrame
        The table with `reached` (for each step the share of its continuations that end
        in the label of the note) and `right` (at least one of them does).

    Raises
    ------
    UserError
        For fewer than one draw.
    """
    if draws < 1:
        raise UserError(
            found=f"{draws} continuations of a step",
            expected="one or more",
            do="set monte_carlo=4, or 0 for labels by checks",
        )
    begun = _beginnings(table, tokenizer, style)
    prompts = prompts_of(table, tokenizer, style, instruction, task)
    texts = complete(
        model,
        tokenizer,
        [prompts[row.note_id] + row.ids for row in begun.itertuples()],
        samples=draws,
        seed=seed,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        batch_size=batch_size,
        report=report,
    )
    chat = frame_of(tokenizer, style)
    said = [
        chat.whole(tokenizer.decode(ids, skip_special_tokens=True) + text)
        for ids, behind in zip(begun["ids"], texts, strict=True)
        for text in behind
    ]
    each = begun.loc[begun.index.repeat(draws), ["label"]].assign(completion=said)
    hits = answered_right(each, tree, style)
    shares = [sum(hits[i : i + draws]) / draws for i in range(0, len(hits), draws)]
    reached: list[list[float]] = [[] for _ in range(len(table))]
    for row, share in zip(begun["row"], shares, strict=True):
        reached[row].append(share)
    for own, ends, good in zip(
        reached, table["ends"], answered_right(table, tree, style), strict=True
    ):
        own += [float(good)] * (len(ends) > 0)
    return table.assign(
        reached=reached, right=[[share > 0 for share in own] for own in reached]
    )


def _beginnings(table: pd.DataFrame, tokenizer, style: str) -> pd.DataFrame:
    """Each completion up to the end of each of its steps but the last, as it was read.

    Token ids, not characters: a step may end inside a token.
    """
    said, places = said_ids(table["completion"], table["ends"], tokenizer, style)
    rows = [
        (row, note_id, label, ids[: place + 1])
        for row, (note_id, label, ids, ends) in enumerate(
            zip(table["note_id"], table["label"], said, places, strict=True)
        )
        for place in ends[:-1]
    ]
    return pd.DataFrame(rows, columns=["row", "note_id", "label", "ids"])
