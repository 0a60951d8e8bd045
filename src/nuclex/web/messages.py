"""What the API takes and gives: the shapes of its JSON, which the documentation is made from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["predict", "fold", "embed", "mutate", "codons", "compare"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
EXAMPLE = ">tRNA-Phe\nGCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA\n"
CODING = ">made-up\nATGGCCAAGCTGTAA\n"
Fasta = Annotated[
    str,
    Field(description="FASTA, or the letters of one sequence", min_length=1, examples=[EXAMPLE], max_length=1 << 26),
]
Letter = Annotated[Literal["a", "b"] | None, Field(description="which bundle is asked; the first by default")]


class Request(BaseModel):
    """What every question has."""

    model_config = ConfigDict(extra="forbid", strict=True)

    fasta: Fasta


class Question(Request):
    """Sequences for a bundle."""

    bundle: Letter = None


class OneQuestion(Question):
    """A question about one of the sequences."""

    sequence: int = Field(default=0, ge=0, le=1_000_000, description="which one, 0 being the first")


class CodonQuestion(OneQuestion):
    """A question about a coding sequence."""

    model_config = ConfigDict(json_schema_extra={"example": {"fasta": CODING, "code": 1}})

    code: int = Field(default=1, ge=1, le=99, description="the NCBI's number of the genetic code")


class Comparison(Request):
    """Sequences for both bundles."""


class Refusal(BaseModel):
    """Why a request was not served, in one sentence."""

    error: str = Field(
        description="what was found, where, and what is allowed",
        examples=["record 1 ('tRNA-Phe'), letter 5: found 'E'; A C G T U, the IUPAC letters … are allowed"],
    )


class Accepted(BaseModel):
    """A job that waits now."""

    job: str = Field(description="the random name of the job; whoever knows it can read the result")
    state: State = Field(description="how far it is")
    position: int | None = Field(description="how many jobs are before it")


class Told(BaseModel):
    """What is known of a job."""

    job: str = Field(description="its name")
    kind: Kind = Field(description="what was asked")
    state: State = Field(description="how far it is")
    position: int | None = Field(description="how many jobs are before it; null unless it waits")
    done: int = Field(description="steps that are done")
    total: int | None = Field(description="steps there will be; null where that is not known yet")
    seconds: float = Field(description="how long it has been computed")
    seconds_left: float | None = Field(description="a guess; null where nothing is known")
    error: str | None = Field(description="why it failed")
    result: dict[str, Any] | None = Field(description="the answer, when it is done; its shape follows from the kind")


class Download(BaseModel):
    """A file of a job."""

    name: str = Field(description="the last part of its address")
    bytes: int | None = Field(description="its size; null where it is drawn when it is first asked for")
    about: str = Field(description="what it holds")


class Downloads(BaseModel):
    """The files of a job."""

    files: list[Download] = Field(description="in the order of the sequences")


class Task(BaseModel):
    """What a bundle was fine-tuned for."""

    shape: str = Field(description="what an answer is: a class, a number, pairs, …")
    name: str = Field(description="the recipe's name for it")
    classes: list[str] | None = Field(description="the classes in their order; null where there are none")


class Model(BaseModel):
    """A bundle that is served."""

    id: Literal["a", "b"] = Field(description="what `bundle` of a question names it by")
    name: str = Field(description="of its recipe")
    architecture: str = Field(description="its layers in words")
    parameters: int = Field(description="how many, heads included")
    alphabet: Literal["dna", "rna"] = Field(description="whether it writes T or U; both are read")
    tokenizer: str = Field(description="how letters become tokens")
    causal: bool = Field(description="whether it reads from left to right only")
    task: Task | None = Field(description="null for a bundle that is pre-trained only")
    can: dict[Kind, str | None] = Field(description="for each question null, or why it is not answered")
    doubts: list[str] = Field(description="reasons to distrust it that its own record gives, for people to read")


class Limits(BaseModel):
    """What a request may have at most."""

    body_bytes: int = Field(description="of the body")
    sequences: int = Field(description="how many")
    letters: int = Field(description="of one sequence")
    letters_together: int = Field(description="of all sequences")
    letters_coupled: int = Field(description="of a sequence that is folded by couplings")
    seconds: float = Field(description="of computing")
    queue: int = Field(description="jobs that wait")


class Reference(BaseModel):
    """The sequences that the map shows beside pasted ones."""

    name: str = Field(description="of the file they come from")
    count: int = Field(description="how many")


class Sample(BaseModel):
    """Sequences to try."""

    title: str = Field(description="what they are")
    fasta: str = Field(description="as it would be pasted")
    for_: list[Kind] = Field(alias="for", description="the questions they suit")


class About(BaseModel):
    """What is served here."""

    version: str = Field(description="of nuclex")
    bundles: list[Model] = Field(description="one or two")
    limits: Limits = Field(description="beyond which a request is refused")
    reference: Reference | None = Field(description="null where the server was started without --reference")
    examples: list[Sample] = Field(description="to try")
