"""The report of a quickstart: what was done, what came out, what it is worth, what to do next."""

from __future__ import annotations

from statistics import median
from typing import Any

from nuclex.evaluation.arcs import arc_diagram
from nuclex.evaluation.evaluate import Evaluation
from nuclex.evaluation.plots import accuracy_bars, embedding_map, loss_curve, pairing_bars
from nuclex.evaluation.report import Figure, Headline, Report, Section, Step, Table, Verdict
from nuclex.metrics.statistics import Interval, PairedDifference, Ratio, bootstrap
from nuclex.training.tracking import read_metrics
from nuclex.workflows.quickstart import Story

HELD_OUT = (
    "The test is {}: none of it was among the labelled molecules trained on. Relatives of it, without structures, "
    "were in the pre-training corpus. "
)
ONE_SEED = " (one training seed)"
FEW = 20
FEW_NOTE = (f"Groups of fewer than {FEW} sequences get no numbers.",)
"""A group with fewer test sequences than this gets no accuracy."""
SAME_FAMILIES = (
    "The splits are those of the corpus, so every family is in all of them: the question is whether a family's "
    "structure is recognised in a new member, not whether a new structure is folded. "
)


def tell(story: Story) -> Report:
    """Write the whole report of a quickstart."""
    evaluation = story.evaluation
    good, sentence = evaluation.verdict()
    compared = story.structure["test"]["all"]
    pairing = story.pairing
    summary = (
        Headline("masked accuracy", f"{evaluation.model.accuracy:.3f}", _against(evaluation)),
        Headline("what seeing the partner gave", f"{pairing.difference.difference.value:+.3f}", "at paired positions"),
        Headline(
            "structure F1",
            f"{compared['pretrained']['strict_f1']['value']:.3f}",
            f"from random weights {compared['scratch']['strict_f1']['value']:.3f}",
        ),
        Headline("time", f"{sum(story.seconds.values()) / 60:.1f} min", "on this machine, up to this report"),
    )
    sections = [_corpus(story), _pretraining(story), _pairing(story), _structure(story)]
    if story.classes is not None:
        sections.append(_classes(story.classes))
    sections += [_embedding(story), _next(story)]
    return Report(
        title="nuclex quickstart",
        subtitle=story.materials.about,
        summary=summary,
        sections=tuple(sections),
        provenance={"seed": story.materials.recipe.seed, **story.manifest.get("provenance", {})},
        notice=story.materials.notice,
        verdicts=(
            Verdict(bool(good), sentence),
            _pairing_verdict(story),
            _difference_verdict("structure F1", story.structure),
        ),
    )


def _against(evaluation: Evaluation) -> str:
    base = evaluation.baselines
    assert base is not None
    return f"Markov order {base.order}: {base.markov.accuracy:.3f}, unigram {base.unigram.accuracy:.3f}"


def _corpus(story: Story) -> Section:
    manifest = story.manifest
    rows = tuple((step["name"], step["in"], step["out"], step["in"] - step["out"]) for step in manifest["filters"])
    filters = Table(("filter", "sequences in", "sequences out", "removed"), rows, caption="What each filter removed")
    cluster, split = manifest["cluster"], manifest["split"]
    names = [name for name in ("train", "validation", "test") if name in split]
    sizes = tuple((name, split[name]["sequences"], split[name]["nucleotides"]) for name in names)
    splits = Table(("split", "sequences", "nucleotides"), sizes, caption="Splits; no cluster is in two of them")
    how = "Clustering by identity alone" if cluster["method"] == "none" else "Clustering"
    if cluster["method"] == "mmseqs":
        how = f"{cluster['tool']} (identity {cluster['min_identity']}, coverage {cluster['coverage']})"
    text = (
        f"{manifest['sequences_in']:,} sequences were read and {manifest['sequences_out']:,} kept. {how} found "
        f"{cluster['clusters']:,} clusters, {cluster.get('singletons', cluster['clusters']):,} of one sequence. "
        "A cluster holds sequences alike letter by letter, so a family of one shape and many letters is many clusters. "
        "Whole clusters go to one split, and so do groups of clusters that further alignments link (the largest groups "
        "to train): a test sequence has no near relative in train, but more distant ones of its family may be there."
    )
    return Section("1. Corpus", text, tables=(filters, splits))


def _pretraining(story: Story) -> Section:
    evaluation = story.evaluation
    base = evaluation.baselines
    assert base is not None
    records = read_metrics(story.out / "pretrain")
    train = [record for record in records if "loss" in record]
    seen = [record for record in records if "validation_loss" in record]
    curve = loss_curve(
        [record["step"] for record in train],
        [record["loss"] for record in train],
        [record["step"] for record in seen],
        [record["validation_loss"] for record in seen],
        {"unigram": base.unigram.nll, f"Markov (order {base.loss_order})": base.markov_loss.nll},
    )
    rows = (
        ("this model", evaluation.accuracy(), evaluation.model.loss),
        (f"Markov, order {base.order}", _accuracy(evaluation, base.markov), base.markov_loss.nll),
        ("unigram", _accuracy(evaluation, base.unigram), base.unigram.nll),
    )
    table = Table(
        ("model", "masked accuracy", "loss (nats)"),
        rows,
        caption=f"Every position of the {len(evaluation.rows_N):,} test sequences, hidden once",
        highlight=(0,),
        notes=(
            f"Intervals: 95 % bootstrap over {len(set(evaluation.clusters_N.tolist())):,} homology clusters of "
            f"{len(evaluation.rows_N):,} sequences; families are not resampled.",
            "The Markov baseline was counted on train and sees all other positions of a sequence, on both sides, while "
            "the model has one position in seven hidden. Its order was chosen on validation, once for accuracy "
            f"({base.order}) and once for loss ({base.loss_order}).",
            "The baselines' lines in the picture are this table's, of the test split; the curve is of validation, on "
            "which the model was looked at while it learned. Compare numbers in the table, shapes in the picture.",
        ),
        formats={"loss (nats)": ".3f"},
    )
    bars = accuracy_bars({str(name): value for name, value, _ in rows}, of="test sequence")
    tables = [table, _group_table(evaluation, evaluation.sources_N, "source")]
    tables.append(_group_table(evaluation, evaluation.length_names(), "length (nt)"))
    good, sentence = evaluation.verdict()
    text = (
        "The model learned to fill in hidden nucleotides. An honest number needs something to stand beside: the "
        "unigram always guesses the commonest letter; the Markov model knows which letters follow and precede which."
    )
    return Section("2. Pre-training", text, (curve, bars), tuple(tables), (Verdict(bool(good), sentence),))


def _accuracy(evaluation: Evaluation, scores: Any) -> Interval:
    return bootstrap(Ratio(scores.hits, scores.n), clusters=evaluation.clusters_N)


def _group_table(evaluation: Evaluation, names: Any, title: str) -> Table:
    groups = evaluation.groups(names)
    names_shown = ("accuracy", "markov_accuracy", "loss")
    rows = tuple(
        (
            row["group"],
            row["sequences"],
            row["tokens"],
            *(row[n] if row["sequences"] >= FEW else None for n in names_shown),
        )
        for row in groups
    )
    columns = (title, "sequences", "positions", "accuracy", "Markov accuracy", "loss")
    formats = {"accuracy": ".3f", "Markov accuracy": ".3f", "loss": ".3f"}
    return Table(columns, rows, caption=f"Test sequences by {title}", formats=formats, notes=FEW_NOTE)


def _pairing_verdict(story: Story) -> Verdict:
    found = story.pairing.difference.difference
    numbers = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    if story.pairing.learned:
        return Verdict(True, f"The model learned base pairing: seeing the partner changes accuracy by {numbers}.")
    if story.pairing.difference.difference.low > 0:
        return Verdict(
            False,
            f"The model learned a trace of base pairing at most: seeing the partner changes accuracy by {numbers}.",
        )
    return Verdict(
        False, f"No sign that the model learned base pairing: seeing the partner changes accuracy by {numbers}."
    )


def _pairing(story: Story) -> Section:
    pairing = story.pairing
    where = (
        "the test sequences"
        if story.materials.choice == "simulated"
        else "tRNAs and 5S rRNAs of ArchiveII whose sequences are not in the train split (relatives of them are)"
    )
    text = (
        f"At {pairing.positions:,} paired positions of {where}, a base was hidden twice: once with its partner in "
        "sight, once with the partner hidden too. A model could gain from the first by counting letters alone. So "
        "where the partner is in sight, another base of the same letter is hidden in its stead: both times the same "
        "letters are in sight, and the difference is what seeing the partner in its place gave."
    )
    figure = pairing_bars(pairing.visible, pairing.hidden, pairing.difference.difference)
    rows = (
        ("partner visible", pairing.visible),
        ("partner hidden", pairing.hidden),
        ("difference", pairing.difference.difference),
    )
    units = "homology clusters" if story.materials.choice == "simulated" else "distinct molecules of two families"
    note = f"Paired by molecule; the units of the interval are {units}; swap test p = {pairing.difference.p_value:.2g}."
    table = Table(("condition", "masked accuracy"), rows, caption="Accuracy at paired positions", notes=(note,))
    return Section("3. Did it learn pairing?", text, (figure,), (table,), (_pairing_verdict(story),))


def _difference_verdict(what: str, results: dict[str, Any]) -> Verdict:
    name = "strict_f1" if "strict_f1" in results["test"]["all"]["pretrained"] else "accuracy"
    found = results["test"]["all"]["difference"][name]
    low, high = found["difference"]["low"], found["difference"]["high"]
    numbers = f"{found['difference']['value']:+.3f} [{low:+.3f}, {high:+.3f}], p = {found['p_value']:.2g}"
    if low > 0:
        return Verdict(
            True, f"Pre-training helped: {what} against the same network from random weights {numbers}{ONE_SEED}."
        )
    if high < 0:
        return Verdict(
            False, f"Pre-training HURT: {what} against the same network from random weights {numbers}{ONE_SEED}."
        )
    return Verdict(False, f"Pre-training made no significant difference to {what}: {numbers}{ONE_SEED}.")


def _arms_table(results: dict[str, Any], names: dict[str, str]) -> Table:
    rows = []
    for subset, found in results["test"].items():
        for arm in ("pretrained", "scratch"):
            label = "pre-trained" if arm == "pretrained" else "from random weights"
            scores = tuple(Interval(**found[arm][name]) for name in names)
            rows.append((subset, label, found["n"], *scores))
    columns = ("test sequences", "start", "n", *names.values())
    return Table(
        columns, tuple(rows), caption="Fine-tuned from the pre-trained model and from scratch", notes=(results["unit"],)
    )


def _structure(story: Story) -> Section:
    results, rows = story.structure, story.structure_rows
    typical = sorted(rows, key=lambda row: (abs(row["strict_f1"] - median(r["strict_f1"] for r in rows)), row["id"]))
    worst = min(rows, key=lambda row: (row["strict_f1"], row["id"]))
    figures: list[Figure] = []
    for row, which in ((typical[0], "a molecule of median F1"), (worst, "the worst one")):
        title = f"{row['id']}: {which} (F1 {row['strict_f1']:.2f})"
        figures.append(arc_diagram(row["sequence"], row["truth"], row["predicted"], title))
    counts, notes = results["task"]["counts"], results["task"]["notes"]
    text = (
        f"RiNALMo's structure head was trained on {counts['train']} molecules and tested on {counts['test']}; the "
        f"decoding threshold was tuned on {counts['validation']} validation molecules. "
        + (HELD_OUT.format(notes["test"]) if "test" in notes else SAME_FAMILIES)
        + "Strict: a pair counts only if both ends are exact; relaxed: off by one at one end counts too, as RiNALMo "
        "reports it. Beside it, the same network from random weights with the same budget. " + _left_out(results)
    )
    table = _arms_table(results, {"strict_f1": "F1 (strict)", "relaxed_f1": "F1 (±1)"})
    return Section(
        "4. Secondary structure", text, tuple(figures), (table,), (_difference_verdict("structure F1", results),)
    )


def _classes(results: dict[str, Any]) -> Section:
    counts = results["task"]["counts"]
    text = (
        f"The 13 classes of nRC: {counts['train']} sequences to train on, {counts['test']} to test. "
        f"{counts['test_seen_in_train_or_validation']} test sequences also stand, letter for letter, in the published "
        f"train file; 'unseen' leaves them out. {_left_out(results)}"
    )
    table = _arms_table(results, {"accuracy": "accuracy", "macro_f1": "macro F1"})
    return Section("5. ncRNA class", text, (), (table,), (_difference_verdict("accuracy", results),))


def _left_out(results: dict[str, Any]) -> str:
    """What the length limit of a task left out, as a sentence."""
    left = results["task"]["notes"].get("left_out") or {}
    if not left:
        return ""
    limits = {split: most for split, most in left["longer_than"].items() if most is not None}
    counts = ", ".join(f"{left[split]} of {split} (more than {most} nt)" for split, most in limits.items())
    return f"Long molecules were left out: {counts}."


def _embedding(story: Story) -> Section:
    found, title = story.neighbours, "Held-out sequences by family"
    figure = embedding_map(story.map_N2, story.map_labels, title, ("t-SNE 1", "t-SNE 2"))
    rows = (
        ("this model", found.model),
        ("3-mer composition", found.composition),
        ("difference", found.difference.difference),
    )
    table = Table(
        ("space", "nearest neighbour of the same family"),
        rows,
        caption="How often the nearest neighbour (other clusters only) is of the same family",
        notes=(f"A random neighbour would be in {found.chance:.3f} of the cases.", _p(found.difference)),
    )
    text = (
        "Each sequence's vector is the mean over its nucleotides; t-SNE draws neighbours near, distances mean little."
    )
    return Section(f"{6 if story.classes else 5}. Embeddings", text, (figure,), (table,))


def _p(difference: PairedDifference) -> str:
    return f"Paired difference over clusters: p = {difference.p_value:.2g}."


def _next(story: Story) -> Section:
    bundle, out = story.bundle, story.out
    steps = (
        Step("Embed your own sequences", f"nuclex embed {bundle} my.fa --out vectors.parquet"),
        Step(
            "Draw structures with the fine-tuned model",
            f"nuclex fold {out}/structure/bundle my.fa --out my.dbn --svg pictures",
        ),
        Step("Score the model on another corpus", f"nuclex evaluate {bundle} my-corpus"),
        Step("Build a corpus of your own", "nuclex corpus build my.fa.gz --out my-corpus"),
        Step("See what a real RiNALMo would need", "nuclex plan pretrain/rinalmo-nano --corpus my-corpus"),
        Step("The same story on real ncRNA", "nuclex quickstart --data ncrna --out quickstart-ncrna"),
    )
    shown = steps if story.materials.choice == "simulated" else steps[:-1]
    return Section("What to do next", "", steps=shown)
