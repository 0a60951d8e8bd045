"""Language models for DNA, RNA and mRNA: from a FASTA file to a published model."""

__version__ = "0.1.0"
