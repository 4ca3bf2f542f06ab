"""The paper profile on this machine: a network of its size with random weights."""

import re
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch
import yaml

from deepicd.common.parameters import choice
from deepicd.data.synthetic.corpus import example_admissions
from deepicd.study.bench.measure import Result, peak_memory
from deepicd.training import encoding, grpo, models, sft
from deepicd.training.models.sizes import SIZES, Size
from deepicd.training.models.tokenizer import train_tokenizer

TITLE = "The paper profile: seconds, tokens/s and memory of load, SFT and GRPO"
PROFILE = Path(__file__).parents[4] / "notebooks" / "profiles" / "paper.yaml"
#: Shapes made here and of Qwen2.5; on a CPU a tiny one takes their place.
SHAPES = {
    "50m": SIZES["50m"],
    "1b": Size(1536, 28, 12, 2, 8960, 151936),
    "7b": Size(3584, 28, 28, 4, 18944, 152064),
}
NOTES = 90_000  # first-listed ICD-10-CM diagnoses with a note in MIMIC-IV, about
CUT = 16  # lengths on a CPU are those of the profile divided by this
PROMPTS = 4  # of the one GRPO step, in place of the profile's


def run(size: str = "7b", device: str = "") -> list[Result]:
    """Time one load, two SFT steps and one GRPO step at the profile's own lengths.

    A GRPO step of the profile takes minutes; `PROMPTS` of its prompts are drawn and
    learned, and hours are told from them.

    Parameters
    ----------
    size : {"50m", "1b", "7b"}
    device : {"", "cuda", "cpu"}
        ``cpu`` runs the same with a tiny network and short texts; its hours mean
        nothing.

    Returns
    -------
    list of Result
    """
    choice("size", size, tuple(SHAPES))
    device = choice("device", device or models.device(), ("cuda", "cpu"))
    small = device == "cpu"
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["parameters"]
    own, own_grpo = profile["04_train_sft"], profile["05_train_grpo"]
    cut = CUT if small else 1
    longest, answer = own["max_length"] // cut, own["max_new_tokens"] // cut
    rank = 4 if small else own["lora_rank"]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = small_tokenizer()
        begin = time.perf_counter()
        write_random(tokenizer, size, device, Path(folder) / "base")
        made = time.perf_counter() - begin
        begin = time.perf_counter()
        lora = models.Lora(rank=rank)
        net, tokenizer = models.load(f"{folder}/base", lora=lora)
        loaded = time.perf_counter() - begin
        net = models.add_adapter(net, lora, "trl", 0)
        fine = fine_tuned(net, tokenizer, own, longest, folder)
        drawn = _grpo(net, tokenizer, own_grpo, longest, answer, folder)
        kept = sum(f.stat().st_size for f in (Path(folder) / "base").iterdir())
    steps = own["sft_steps"] * own["sft_options"]["accumulation"]
    hours_sft = fine["step"] * steps / 3600
    share = own_grpo["prompts_per_step"] / PROMPTS
    hours_grpo = drawn["step"] * share * own_grpo["grpo_steps"] / 3600
    hours_answers = NOTES * 0.1 * answer / drawn["rate"] / 3600
    return [
        Result("weights", sum(p.numel() for p in net.parameters()) / 1e9, "1e9"),
        Result("write random weights", made, "s"),
        Result("load", loaded, "s"),
        Result("SFT pass", fine["step"], "s"),
        Result("SFT", fine["rate"], "tokens/s"),
        Result("trainer and engine of GRPO", drawn["engine"], "s"),
        Result(f"GRPO step of {PROMPTS} prompts", drawn["step"], "s"),
        Result("GRPO, drawn and learned", drawn["rate"], "tokens/s"),
        Result("peak memory", peak_memory(device) / 2**30, "GiB"),
        Result("weights on disk", kept / 2**30, "GiB"),
        Result("profile: SFT", hours_sft, "h"),
        Result("profile: GRPO", hours_grpo, "h"),
        Result("profile: answers to test notes", hours_answers, "h"),
    ]


def write_random(tokenizer, size: str, device: str, folder: Path) -> None:
    """Write a network of a size with random weights; on a CPU a tiny one."""
    shape = SHAPES[choice("size", size, tuple(SHAPES))]
    with torch.device(device):
        if device == "cpu":
            net = models.make_model(tokenizer, "tiny", 0)
        else:
            net = models.make_model(tokenizer, shape, 0, shape.vocab)
    models.save(net.to(torch.bfloat16), tokenizer, folder)


def small_tokenizer():
    """A tokenizer of the example corpus."""
    return train_tokenizer(example_admissions(60)["note"], 1500)


def rows(tokenizer, n: int, tokens: int) -> pd.DataFrame:
    """Notes of about so many tokens each: sentences of the example corpus, joined."""
    text = " ".join(re.sub(r"\s+", " ", t) for t in example_admissions(60)["note"])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = ids * (1 + (n + 1) * tokens // len(ids))
    notes = [tokenizer.decode(ids[i * 7 : i * 7 + tokens]) for i in range(n)]
    names = [f"n{i}" for i in range(n)]
    return pd.DataFrame({"note_id": names, "note": notes, "label": "I21.11"})


def fine_tuned(net, tokenizer, own: dict, longest: int, folder: str) -> dict:
    """Two steps of one pass each, after one that warms up."""
    notes = rows(tokenizer, own["batch_size"], longest // 2)
    notes = notes.assign(trace="Pain. " * (longest // 16))
    data, _ = encoding.encode(notes, tokenizer, "reasoning", "brief", 4 * longest)
    settings = sft.SftSettings(
        steps=3,
        batch_size=own["batch_size"],
        learning_rate=own["sft_learning_rate"],
        warmup_steps=0,
        validate_every=0,
        save_every=1000,
        log_every=1,
    )
    marks: list[float] = []
    sft.train(
        net,
        tokenizer,
        data,
        None,
        settings,
        f"{folder}/sft",
        report=lambda *_: marks.append(time.perf_counter()),
    )
    seconds = (marks[3] - marks[1]) / 2
    tokens = sum(map(len, data["input_ids"])) / len(data) * own["batch_size"]
    return {"step": seconds, "rate": tokens / seconds}


def _grpo(net, tokenizer, own: dict, longest: int, answer: int, folder: str) -> dict:
    """One step; random weights never end an answer, so all are of full length."""
    notes = rows(tokenizer, PROMPTS, longest - answer - longest // 6)
    data, _ = grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 4 * longest)
    settings = grpo.GrpoSettings(
        steps=1,
        prompts=PROMPTS,
        micro_batches=PROMPTS,
        max_completion=answer,
        max_prompt=longest,
        learning_rate=own["grpo_learning_rate"],
        warmup_steps=0,
        validate_every=0,
        log_every=1,
        share_prompts=False,
        rollouts="vllm" if _engine_here() else "transformers",
    )
    marks = [time.perf_counter()]
    grpo.train(
        net,
        tokenizer,
        data,
        "tree",
        settings,
        f"{folder}/grpo",
        report=lambda *_: marks.append(time.perf_counter()),
    )
    seconds = time.perf_counter() - marks[1]  # the engine starts before
    tokens = PROMPTS * settings.group_size * answer
    engine = marks[1] - marks[0]
    return {"step": seconds, "rate": tokens / seconds, "engine": engine}


def _engine_here() -> bool:
    return torch.cuda.is_available() and find_spec("vllm") is not None
