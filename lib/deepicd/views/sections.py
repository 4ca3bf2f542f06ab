"""What notebook 01 shows: marked sections, kept and left-out shares, counts."""

import html

import pandas as pd

from deepicd.data.sections.last_look import named
from deepicd.data.sections.names import KEPT, ORDER
from deepicd.data.sections.splitting import MODES, admission_note, split_sections

COLOURS = {"kept": "#cfead6", "left out": "#ececec", "doubtful": "#ffe3a3"}


def highlighted(text: str) -> str:
    """Mark a summary's sections as HTML: kept green, left out grey, doubtful amber.

    Parameters
    ----------
    text : str
        A discharge summary that may be displayed.

    Returns
    -------
    str
        HTML; the text is escaped.

    Examples
    --------
    >>> "ececec" in highlighted("Discharge Diagnosis: <b>")
    True
    """
    pieces = []
    for section in split_sections(text):
        what = "kept" if section.kept else "left out"
        colour = COLOURS["doubtful" if section.doubt else what]
        name = section.name.replace("_", " ")
        title = f"{name}: {what}" + (f" ({section.doubt})" if section.doubt else "")
        pieces.append(
            f'<div style="background:{colour};color:#111;padding:1px 6px;'
            f'border-left:4px solid {"#1b7837" if section.kept else "#999999"}">'
            f"<b>{title}</b><br>{html.escape(section.text.strip())}</div>"
        )
    legend = " ".join(
        f'<span style="background:{colour};color:#111;padding:1px 6px">{name}</span>'
        for name, colour in COLOURS.items()
    )
    body = "".join(pieces)
    style = "white-space:pre-wrap;font-size:85%;max-width:80em"
    return f'{legend}<div style="{style}">{body}</div>'


def kept_by_mode(texts) -> pd.DataFrame:
    """Compare the modes: which share of every section do they keep?

    The sections are those of the robust splitter, so what is measured for `cop` is
    how much of each true section the published rule lets through.

    Parameters
    ----------
    texts : iterable of str
        Discharge summaries.

    Returns
    -------
    DataFrame
        `mode, section, known` (at admission), `notes` that have the section, and
        `share` of its letters that the mode keeps, averaged over those notes.

    Examples
    --------
    >>> frame = kept_by_mode(["HPI: cough\\nDischarge Diagnosis: flu\\n"])
    >>> frame.query("mode == 'robust'").set_index("section")["share"].to_dict()
    {'history_of_present_illness': 1.0, 'discharge_diagnosis': 0.0}
    """
    rows = []
    for text in texts:
        sections = [s for s in split_sections(text) if s.body]
        for mode in MODES:
            spans = [(s.start, s.end) for s in admission_note(text, mode).sections]
            rows += [(mode, s.name, _share(s, spans)) for s in sections]
    frame = pd.DataFrame(rows, columns=["mode", "section", "share"])
    out = frame.groupby(["mode", "section"])["share"].agg(["size", "mean"])
    out = out.reset_index().set_axis(["mode", "section", "notes", "share"], axis=1)
    out["known"] = out["section"].isin(KEPT)
    order = {name: place for place, name in enumerate(ORDER)}
    out = out.sort_values(["mode", "section"], key=lambda c: c.map(order).fillna(0))
    return out[["mode", "section", "known", "notes", "share"]].reset_index(drop=True)


def _share(section, spans) -> float:
    body = section.text[section.body_start - section.start :]
    start = section.body_start + len(body) - len(body.lstrip())
    stop = start + len(section.body)
    covered = sum(max(0, min(stop, b) - max(start, a)) for a, b in spans)
    return min(1.0, covered / (stop - start))


def flag_counts(admissions: pd.DataFrame) -> pd.DataFrame:
    """Count the flags: `flag, notes, share`.

    Examples
    --------
    >>> flag_counts(pd.DataFrame({"flags": ["a;b", "a", ""]}))["notes"].tolist()
    [2, 1]
    """
    flags = admissions["flags"].str.split(";").explode()
    counts = flags[flags.fillna("") != ""].value_counts()
    frame = counts.rename_axis("flag").reset_index(name="notes")
    return frame.assign(share=frame["notes"] / max(len(admissions), 1))


def named_by_section(admissions: pd.DataFrame, tree) -> pd.DataFrame:
    """Count the notes whose sections name the label's title, beyond what was history.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> note = "CHIEF COMPLAINT: Cough\\n\\nPRESENT ILLNESS: Cellulitis, unspecified."
    >>> rows = pd.DataFrame({"note": [note], "label": ["L03.90"]})
    >>> named_by_section(rows, load_tree())["section"].tolist()
    ['history_of_present_illness']
    """
    pairs = zip(admissions["note"], admissions["label"], strict=True)
    found = [{n.section for n in named(note, "", tree.title(c))} for note, c in pairs]
    counts = pd.Series([s for sections in found for s in sections]).value_counts()
    frame = counts.rename_axis("section").reset_index(name="notes")
    return frame.assign(share=frame["notes"] / max(len(admissions), 1))


def note_words(admissions: pd.DataFrame) -> pd.DataFrame:
    """Count the words of every note: `split, words`."""
    words = admissions["note"].str.split().str.len()
    return pd.DataFrame({"split": admissions["split"], "words": words})


def code_curve(admissions: pd.DataFrame, tree) -> pd.DataFrame:
    """Count admissions by class, most frequent first: `level, rank, admissions`.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> frame = pd.DataFrame({"label": ["I21.4", "I21.4", "I10"]})
    >>> curve = code_curve(frame, load_tree())
    >>> curve.loc[curve["level"] == "full", "admissions"].tolist()
    [2, 1]
    """
    parts = []
    for level in tree.shown:
        at = {c: tree.at(c, level) for c in admissions["label"].unique()}
        counts = admissions["label"].map(at).value_counts().to_numpy()
        rank = range(1, len(counts) + 1)
        parts.append(pd.DataFrame({"level": level, "rank": rank, "admissions": counts}))
    return pd.concat(parts, ignore_index=True)


def split_table(admissions: pd.DataFrame, tree) -> pd.DataFrame:
    """Summarise each split: notes, patients, labels, and labels unseen in training.

    Labels are counted as they are and at the level above.
    """
    coarse = tree.shown[-2:][0]
    above = {c: tree.at(c, coarse) for c in admissions["label"].unique()}
    frame = admissions.assign(above=admissions["label"].map(above))
    train = frame[frame["split"] == "train"]
    rows = {}
    for split in ("train", "val", "test"):
        part = frame[frame["split"] == split]
        rows[split] = {
            "notes": len(part),
            "patients": part["subject_id"].nunique(),
            "labels": part["label"].nunique(),
            coarse: part["above"].nunique(),
            "unseen label": int((~part["label"].isin(train["label"])).sum()),
            f"unseen {coarse}": int((~part["above"].isin(train["above"])).sum()),
        }
    return pd.DataFrame(rows).T.rename_axis("split")
