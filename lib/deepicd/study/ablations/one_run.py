"""Do one job: train, answer the test notes, keep what comparisons need."""

import fcntl
import shutil
import time
from contextlib import contextmanager

import pandas as pd
import torch

from deepicd.common.files import write_json, write_parquet
from deepicd.common.processors import torch_threads
from deepicd.evaluation.metrics import evaluate
from deepicd.evaluation.ordered import KAPPA, OFF
from deepicd.study.ablations.inputs import Material
from deepicd.study.ablations.jobs import DONE, SFT, Job
from deepicd.traces.guiding import Guide
from deepicd.training import encoding, grpo, models, sft
from deepicd.training.catalogue_stage import learn_catalogue
from deepicd.training.models import generate
from deepicd.training.models.merging import merge

METRICS = ("accuracy", "macro_f1")


def execute(job: Job, material: Material, report=None) -> None:
    """Train a job unless it is finished; goes on from its last checkpoint.

    Parameters
    ----------
    job : Job
    material : Material
    report : callable, optional
        Called with step, steps, text.
    """
    with _alone(job), torch_threads(job.point.plain["threads"]):
        if job.finished:  # by another process that worked on the same grid
            return
        begin, resumed = time.monotonic(), job.started
        material = material.told(job.point.plain["history"])
        train = _train_sft if job.kind == SFT else _train_grpo
        net, tokenizer, curves, facts, resolved = train(job, material, report)
        test = material.test(job.point.plain["test_notes"])
        found = generate.predict(
            net, test, system=job.kind, **_answering(job, material, tokenizer)
        )
        write_parquet(curves, job.folder / "curves.parquet")
        write_parquet(found, job.folder / "predictions.parquet")
        done = facts | {
            "key": job.key,
            "kind": job.kind,
            "needs": job.needs,
            "given": job.point.of(job.kind),
            "scores": _scores(found, material),
            "seconds": round(time.monotonic() - begin, 2),
            "steps": job.steps,
            "resumed": resumed,
            "threads": job.point.plain["threads"],
            "trainer": resolved,
        }
        write_json(done, job.folder / DONE)
        shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)


@contextmanager
def _alone(job: Job):
    """Hold the folder of a run: two processes must not share its checkpoints."""
    job.folder.mkdir(parents=True, exist_ok=True)
    with open(job.folder / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _answering(job: Job, material: Material, tokenizer) -> dict:
    """How notes are answered."""
    taught, point = material.taught, job.point
    settings = point.sft if job.kind == SFT else point.grpo
    return {
        "seed": point.seed,
        "style": point.plain["style"],
        "instruction": taught["instruction"],
        "max_new_tokens": taught["max_new_tokens"],
        "batch_size": settings.predict_batch,
        "tree": material.tree,
        "task": material.task,
        "tokenizer": tokenizer,
    }


def _train_sft(job: Job, material: Material, report):
    point, plain = job.point, job.point.plain
    style, instruction = plain["style"], material.taught["instruction"]
    net, tokenizer = _first_weights(point, material)
    net = _adapted(net, point)
    examples = _examples(point, material)
    data, counts = encoding.encode(
        examples, tokenizer, style, instruction, point.sft.max_length, material.task
    )
    folder = job.folder / "checkpoints"
    net, first, _ = learn_catalogue(
        net,
        tokenizer,
        material.tree,
        examples["label"],
        point.sft,
        folder / "catalogue",
        style,
        report,
    )
    net, curves, resolved = sft.train(
        net, tokenizer, data, None, point.sft, folder, None, report
    )
    models.save(net, tokenizer, job.folder / "model")
    net, tokenizer = models.load(models.kept(job.folder / "model"))
    curves = pd.concat([first, curves], ignore_index=True)
    return net, tokenizer, curves, {"n_traces": counts["kept"]}, resolved


def _adapted(net, point):
    return models.add_adapter(net, _lora(point), "trl", point.seed)


def _lora(point) -> models.Lora:
    return models.Lora(rank=point.plain["lora_rank"])


def _first_weights(point, material: Material):
    """Random weights in the shape of the study's model, or those of `base`."""
    if point.plain["base"]:
        return models.load(point.plain["base"], lora=_lora(point))
    like, tokenizer = models.load(material.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(point.seed)
        return type(like)(like.config).to(models.device()), tokenizer


def _examples(point, material: Material) -> pd.DataFrame:
    """Traces to learn from; with planted faults where the point asks for them."""
    plain = point.plain
    clean = material.examples(plain["traces"])
    if not plain["faults"]:
        return clean
    from deepicd.traces.spoiling import arms, spoil

    accepted = material.traces[material.traces["accepted"]]
    notes, tree, seed = material.admissions, material.tree, point.seed
    spoilt = spoil(accepted, notes, tree, plain["faults"], seed)
    found = arms(spoilt, notes, tree, len(clean), seed, material.task)
    return found["filtered" if plain["filtered"] else "unfiltered"]


def _train_grpo(job: Job, material: Material, report):
    point, style = job.point, job.point.plain["style"]
    net, tokenizer = models.load(models.kept(job.model), lora=_lora(point))
    net = _adapted(net, point)
    notes = material.new_notes(point.plain["traces"])
    instruction = material.taught["instruction"]
    data, counts = grpo.prompt_set(
        notes, tokenizer, style, instruction, point.grpo.max_prompt, material.task
    )
    val = material.admissions[material.admissions["split"] == "val"]
    measure = generate.measure_accuracy(
        val.head(point.grpo.validate_notes), **_answering(job, material, tokenizer)
    )
    given = data["note"], data["label"], material.tree, style, point.grpo.guide
    net, curves, _, resolved = grpo.train(
        net,
        tokenizer,
        data,
        point.reward,
        point.grpo,
        job.folder / "checkpoints",
        material.tree,
        measure,
        report,
        guide=Guide.of(*given),
    )
    net = merge(net)
    facts = {"n_prompts": counts["kept"]}
    if job.needs is None:  # it learned from all traces of notebook 04
        facts["n_traces"] = len(material.examples())
    return net, tokenizer, curves, facts, resolved


def _scores(found: pd.DataFrame, material: Material) -> dict:
    """Accuracy and macro F1 at the shown levels on the answered test notes."""
    gold = found["note_id"].map(material.admissions.set_index("note_id")["label"])
    table = evaluate(
        gold.tolist(),
        [c if isinstance(c, str) else None for c in found["code"]],
        material.tree.shown,
        material.tree,
        n_boot=0,
        metrics=(*METRICS, OFF, KAPPA),  # the last two where labels have an order
    )
    scores = {f"{row.metric}_{row.level}": row.value for row in table.itertuples()}
    return scores | {
        "well_formed": float(found["well_formed"].mean()),
        "notes": len(found),
    }
