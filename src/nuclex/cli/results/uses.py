"""What the verbs print that use a model, and that give it to other programs and people."""

from __future__ import annotations

from nuclex.cli.results.answer import Answer, Number, sometimes


class Predict(Answer):
    """Answers that were written."""

    out: str
    """The file."""
    sequences: int
    """Sequences, changes or pairs answered."""
    shape: str
    """What kind of answer it is: of a sequence, of positions, of pairs, …"""


class Embed(Answer):
    """Vectors that were written."""

    out: str
    """The file."""
    sequences: int
    """Sequences read."""
    width: int
    """Numbers in a vector."""
    pool: str
    """How the vectors of tokens became one: mean, cls, max; none is one a token."""
    vectors: int
    """Vectors written."""


class Score(Answer):
    """Likelihoods of sequences that were written."""

    out: str
    """The file."""
    sequences: int
    """Sequences scored."""
    method: str
    """How they were scored: exact, one-pass or causal."""


class ScoreVariants(Answer):
    """Effects of variants that were written."""

    out: str
    """The file."""
    variants: int
    """Variants read."""
    skipped: dict[str, int]
    """Variants that were not scored, by reason."""
    method: str
    """How they were scored: exact, one-pass or causal."""
    around: int
    """Letters read around each."""
    strands: str
    """Strands read: forward or both."""


class Generate(Answer):
    """Sequences that were drawn."""

    out: str
    """The FASTA file."""
    sequences: int
    """Sequences written."""
    tokens: int
    """Tokens drawn."""
    ended: int
    """Sequences that ended by themselves, before the longest allowed length."""


class Means(Answer):
    """Means over coding sequences; a number that none of them has is not there."""

    log_likelihood: float = sometimes()
    """Of the sequence under the model, in nats."""
    gc: float = sometimes()
    """Share of G and C."""
    cai: float = sometimes()
    """Codon adaptation index, 0 to 1."""
    same_codons: float = sometimes()
    """Share of codons that are the natural sequence's."""
    same_letters: float = sometimes()
    """Share of nucleotides that are the natural sequence's."""
    proven: int = sometimes()
    """Designs that are proven to be the best there is."""


class Design(Answer):
    """Coding sequences that were written for proteins."""

    out: str
    """The FASTA file."""
    sequences: int
    """Sequences written."""
    proteins: int
    """Proteins read."""
    designs: Means
    """Of the sequences written."""
    natural: Means = sometimes()
    """Of the natural ones, with `--natural`."""


class Fold(Answer):
    """Structures that were written."""

    out: str
    """The file or folder."""
    sequences: int
    """Sequences folded."""
    pairs: int
    """Base pairs, in all of them."""
    mean_pair_probability: Number
    """Mean probability of those pairs; null where there are none."""
    svg: str = sometimes()
    """The folder of pictures, with `--svg`."""


class Export(Answer):
    """A model as another program reads it."""

    out: str
    """The folder."""
    format: str
    """The format that was asked for."""
    files: list[str]
    """The files in it."""
    opened_as: str = sometimes(alias="class")
    """The class that opens it, or the graph's file."""
    head: str | None = sometimes()
    """The fine-tuned head that went with it; null where none did."""
    largest_difference: float = sometimes()
    """ONNX: the largest difference of a logit from nuclex, on trial sequences."""


class Convert(Answer):
    """A bundle that was made of another program's model."""

    bundle: str
    """The folder."""
    parameters: int
    """Numbers that were learned."""
    notes: list[str]
    """What a reader of the card is told about where it came from."""


class Serve(Answer):
    """The address is told on stderr when serving begins; Ctrl-C and SIGTERM, which end it, leave stdout empty."""

    address: str
    """Where the page was."""


class File(Answer):
    """A file of a repository."""

    file: str
    """Its name."""
    bytes: int
    """Its size in bytes."""


class Publish(Answer):
    """What was uploaded or, with `--dry-run`, would be."""

    repository: str
    """The name on the hub."""
    revision: str
    """The branch."""
    private: bool
    """Whether it is for its owner alone."""
    licence: str = sometimes()
    """Licence of the weights, in the hub's word; absent where none is stated."""
    licence_name: str = sometimes()
    """The licence's own name, where the hub has no word for it."""
    files: list[File]
    """The files of the model."""
    space_files: list[File] = sometimes()
    """With `--space --dry-run`: the files of the Space."""
    commit: str = sometimes()
    """The commit, where something was uploaded."""
    url: str = sometimes()
    """Its address."""
    space_url: str = sometimes()
    """With `--space`: the address of the Space's commit."""
