"""From admissions and traces to token ids: what training reads."""

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.progress import counted
from deepicd.tasks import prompts
from deepicd.tasks.format import escape_control, tags
from deepicd.tasks.known import TASKS
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training.models.chat import frame_of


def training_examples(admissions, traces, share: float = 1.0, held_out: int = 200):
    """Accepted traces with their notes, in the order of `sft_rank`.

    Parameters
    ----------
    admissions, traces : DataFrame
        Contracts of the stages 01 and 03.
    share : float
        Learn from the accepted traces of the first training notes, this share of
        the training split; a smaller share is a prefix of a larger one.
    held_out : int
        The next accepted ones are held out for the validation loss. Where none is
        left, the last tenth of the others is held out instead.

    Returns
    -------
    (DataFrame, DataFrame)
        Examples and held-out ones; columns note_id, note, label, trace.

    Raises
    ------
    UserError
        When `share` is no share, or fewer than two traces remain.
    """
    if not 0 < share <= 1:
        raise UserError(
            found=f"sft_share {share}",
            expected="more than 0, at most 1",
            do="set it to 1.0 to learn from every accepted trace",
        )
    found = _accepted(admissions, traces)
    notes = (admissions["split"] == "train").sum()
    n = int((found.pop("sft_rank") < share * notes).sum())
    if n < 2:
        raise UserError(
            found=f"{n} accepted traces among {len(traces)}",
            expected="traces that passed every check in notebook 03",
            do="raise sft_share, or look at checks.csv of stage 03",
        )
    n = n if n < len(found) else len(found) - max(len(found) // 10, 1)
    return found.iloc[:n], found.iloc[n : n + held_out]


def examples_below(admissions, traces, ranks: int) -> pd.DataFrame:
    """Examples of the training notes with an `sft_rank` below `ranks`.

    With the `ranks_below` of a training run these are what it learned from; columns
    as those of `training_examples`.
    """
    found = _accepted(admissions, traces)
    return found[found.pop("sft_rank") < ranks]


def _accepted(admissions, traces) -> pd.DataFrame:
    train = admissions[admissions["split"] == "train"].sort_values("sft_rank")
    accepted = traces[traces["accepted"]].drop_duplicates("note_id")
    columns = ["note_id", "note", "label", "sft_rank", *{"asked"} & set(train)]
    return train[columns].merge(accepted[["note_id", "trace"]], on="note_id")


def ranks_below(examples, admissions) -> int:
    """Smallest `sft_rank` above all of `examples`: later notes are new to RL."""
    seen = admissions["note_id"].isin(examples["note_id"])
    return int(admissions.loc[seen, "sft_rank"].max()) + 1


def asked_of(frame: pd.DataFrame) -> pd.Series:
    """What a model reads of each admission: its note, and candidates if any.

    See `deepicd.training.candidates.with_candidates`, which adds the column `asked`.
    """
    return frame.get("asked", frame["note"])


def rendered(
    notes,
    examples: pd.DataFrame,
    style: str,
    instruction: str,
    task: Task = PRINCIPAL_DIAGNOSIS,
):
    """Texts for the tokenizer: prompts of notes, and completions.

    Parameters
    ----------
    notes : iterable of str
        Of the training split.
    examples : DataFrame
        Columns trace, label.
    """
    for note in notes:
        messages = prompts.build_messages(note, style, instruction, task=task)
        yield from (f"{m['role']}\n{m['content']}" for m in messages)
    for row in examples.itertuples():
        said = prompts.format_completion(row.trace, row.label, style, task.tag)
        yield f"assistant\n{said}"


def encode(
    frame: pd.DataFrame,
    tokenizer,
    style: str,
    instruction: str,
    limit: int,
    task: Task = PRINCIPAL_DIAGNOSIS,
):
    """Encode notes and completions as token ids with labels.

    Prompt and completion are encoded apart, so that training sees the ids that
    generation starts from, whatever the tokenizer would merge at the seam.

    Parameters
    ----------
    frame : DataFrame
        Columns note, trace, label, and if there asked.
    tokenizer : PreTrainedTokenizerBase
    style, instruction : str
        See `deepicd.tasks.prompts.build_messages`.
    limit : int
        Longest prompt and completion together; longer examples are dropped.
    task : Task
        What is asked.

    Returns
    -------
    (datasets.Dataset, dict)
        Columns input_ids, labels (-100 on the prompt); and the counts kept,
        dropped, trained_share (share of tokens that carry loss).

    Raises
    ------
    UserError
        When nothing fits.
    """
    asked, answers = _pairs(frame, tokenizer, style, instruction, task)
    return encode_pairs(asked, answers, tokenizer, limit)


def fitting(
    frame: pd.DataFrame,
    tokenizer,
    style: str,
    instruction: str,
    limit: int,
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> pd.DataFrame:
    """Rows of `frame` that `encode` keeps, of the same arguments."""
    asked, answers = _pairs(frame, tokenizer, style, instruction, task)
    answered = _ended(answers, tokenizer)
    pairs = zip(asked, answered, strict=True)
    return frame[[len(a + b) <= limit for a, b in pairs]]


def _pairs(frame, tokenizer, style: str, instruction: str, task: Task):
    """Encoded prompt and text of the completion of each row."""
    notes = counted(asked_of(frame), "writing prompts")
    asked = prompt_ids(notes, tokenizer, style, instruction, task=task)
    chat, own = frame_of(tokenizer, style), special_tokens(tokenizer)
    said = [
        prompts.format_completion(trace, label, style, task.tag)
        for trace, label in zip(frame["trace"], frame["label"], strict=True)
    ]
    return asked, [escape_control(chat.rest(text), own) for text in said]


def _ended(answers: list[str], tokenizer) -> list[list[int]]:
    ended = [answer + tokenizer.eos_token for answer in answers]
    return tokenizer(ended, add_special_tokens=False)["input_ids"] if ended else []


def encode_questions(frame: pd.DataFrame, tokenizer, limit: int):
    """Encode questions and answers about the catalogue; else as `encode`.

    Parameters
    ----------
    frame : DataFrame
        Columns prompt, completion.
    """
    chat = frame_of(tokenizer, "answer_first")  # nothing is opened for an answer
    own = special_tokens(tokenizer)
    texts = [
        chat.prompt(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": escape_control(question, own)}],
                tokenize=False,
                add_generation_prompt=True,
            )
        )
        for question in frame["prompt"]
    ]
    asked = tokenizer(texts, add_special_tokens=False)["input_ids"]
    answers = [escape_control(text, own) for text in frame["completion"]]
    return encode_pairs(asked, answers, tokenizer, limit)


def encode_pairs(asked: list[list[int]], answers: list[str], tokenizer, limit: int):
    """Encode what is to be written behind encoded prompts; else as `encode`."""
    from datasets import Dataset

    answered = _ended(answers, tokenizer)
    pairs = [
        (a, b) for a, b in zip(asked, answered, strict=True) if len(a + b) <= limit
    ]
    if not pairs:
        raise UserError(
            found=f"no example within {limit} tokens among {len(answers)}",
            expected="max_length above the usual note and trace",
            do=f"raise max_length; the shortest has {_shortest(asked, answered)}",
        )
    rows = {
        "input_ids": [a + b for a, b in pairs],
        "labels": [[-100] * len(a) + b for a, b in pairs],
    }
    total = sum(map(len, rows["input_ids"]))
    counts = {
        "kept": len(pairs),
        "dropped": len(answers) - len(pairs),
        "trained_share": sum(len(b) for _, b in pairs) / total,
    }
    return Dataset.from_dict(rows), counts


def _shortest(asked: list, answered: list) -> int:
    return min((len(a + b) for a, b in zip(asked, answered, strict=True)), default=0)


def prompt_ids(
    notes,
    tokenizer,
    style: str,
    instruction: str,
    shots=(),
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> list[list[int]]:
    """Token ids of the chat prompt of each note, ready for the answer."""
    asked = (tokenizer, style, instruction, shots, task)
    texts = [prompt_text(note, *asked) for note in notes]
    return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []


def prompt_text(
    note: str,
    tokenizer,
    style: str,
    instruction: str,
    shots=(),
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> str:
    """Chat prompt of one note in the tokenizer's template.

    Where the template opens the reasoning, so does the prompt (`chat.Frame`).

    The completions of worked examples (`shots`, see `prompts.build_messages`) are
    put in after the template has run: those of some reasoning models drop what the
    assistant thought in earlier turns.
    """
    marks = [f"\ue000{i}\ue001" for i in range(len(shots))]
    read = [(shown, mark) for (shown, _), mark in zip(shots, marks, strict=True)]
    own = special_tokens(tokenizer)
    messages = prompts.build_messages(note, style, instruction, read, own, task)
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    text = frame_of(tokenizer, style).prompt(text)
    for (_, said), mark in zip(shots, marks, strict=True):
        text = text.replace(mark, escape_control(said, own), 1)
    return text


def special_tokens(tokenizer) -> tuple[str, ...]:
    """Tokens that data must not speak; the answer tags are for answers."""
    own = {mark for task in TASKS.values() for mark in tags(task.tag)}
    return tuple(t for t in tokenizer.all_special_tokens if t not in own)
