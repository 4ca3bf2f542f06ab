"""The dataset card that lies beside every synthetic corpus."""

_CARD = """# Synthetic discharge summaries in the layout of MIMIC-IV

**This is not patient data.** Every sentence, number and rate in this folder was made
by a program from general medical knowledge and the official titles of ICD-10-CM. No
record, no statistic and no text of MIMIC-IV or of any hospital went into it.

| | |
|---|---|
| usable discharge summaries | {notes:,} |
| codes, categories, chapters | {codes}, {categories}, {chapters} |
| length of the admission note | {length} |
| seed | {seed} |
| difficulty (sibling-telling findings left out) | {difficulty} |
| tail (exponent of the Zipf law of the codes) | {tail} |
| stays that follow another one of the patient | {readmitted} |
| of these, code hangs on the stay before (`bearing`) | {bearing} |

Made again, byte for byte with the same zlib, by

    python -m deepicd.data.synthetic.corpus --out DIR {command}

## How it was made
A first-listed code is drawn from a Zipf law (the code of rank r has a share
proportional to r to the power of minus {tail}), then sex and age, then each finding
independently given code, sex and age band: said to be present, said to be absent, or
not mentioned. Phrases are picked without looking at the code. After the admission
sections comes what a summary adds later (course, results, discharge examination,
diagnoses, drugs, letter); it names the diagnosis.

`oracle.parquet` holds, per usable summary, the exact posterior over all codes given the
findings said in the admission sections and the sex: the best answer and its probability
per level, the five best codes, and the probability of the true code. No reader of those
sections does better on average. It is exact for the findings, before spelling mistakes.

The most severe comorbidity decides which member of the code's base DRG the stay is
paid by (Medicare's list of complications, cut short). Length of stay (6 hours to 25
days) and first unit are drawn given the code and that severity, death given code and
age band; the procedure hangs on the code. `oracle_<task>.parquet` holds the best
answers to these questions, exact in the same way: the true label, the most probable
node of each level and its probability, and where labels have an order the answer that
is fewest steps off and the probability of each label.

A later stay of a patient keeps sex and age. With probability `bearing` its code is the
one of the stay before (half of these), one of its category (a quarter) or of its line
of illness (`related` in the knowledge base); else it is drawn given sex and age alone.
`oracle_history.parquet`, where asked for (`--history`), holds the posterior of who also
knows every code of the earlier stays: exact, too. Who does not gains nothing.

## What is in it
`hosp/`: patients, admissions, diagnoses_icd, d_icd_diagnoses, procedures_icd,
d_icd_procedures, drgcodes (HCFA rows only), services, transfers.
`note/discharge.csv.gz`: summaries and addenda. Columns and types are those of MIMIC-IV
2.2 and MIMIC-IV-Note 2.2. Beside the usable admissions there are some that a study
excludes: coded in ICD-9, newborns, without a note, with an empty or a broken note; some
summaries come twice or have an addendum.

## What it is for, and not for
For teaching, for testing software, and for comparing methods against a known limit.
Not for clinical use, not for training a model that meets patients, not for coding
rules, not for epidemiology: frequencies, comorbidities and symptom rates are guesses.
Results on it do not carry over to real notes.

## Known limits
Findings are independent given the code, so severity does not hang together as in a real
patient; comorbidities do not persist between the admissions of a patient; race,
insurance and language carry no information; style and vocabulary are far poorer than a
hospital's; only adults, only {chapters} chapters.
"""


def card(facts: dict) -> str:
    """Write the dataset card of a corpus.

    Parameters
    ----------
    facts : dict
        What `corpus.json` holds.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> facts = dict(notes=5, seed=0, length="brief", difficulty=0.3, tail=0.9,
    ...              codes=120, categories=54, chapters=19, readmitted=0.14,
    ...              bearing=0.0)
    >>> "not patient data" in card(facts)
    True
    """
    options = (
        "notes",
        "seed",
        "length",
        "difficulty",
        "tail",
        "codes",
        "readmitted",
        "bearing",
    )
    command = " ".join(f"--{name} {facts[name]}" for name in options)
    return _CARD.format(**facts, command=command)
