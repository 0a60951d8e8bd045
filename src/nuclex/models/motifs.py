"""What short stretches of letters say by themselves: a small network of convolutions, and counts of k-mers.

Both read letters one-hot, (T, 4), and stand beside a fine-tuned model so that one sees what needs no language model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nuclex.models.layout import Layout

FILTERS, FILTER_WIDTH, LAYERS, NODES, DROPOUT = 120, 8, 3, 40, 0.2
"""Optimus 5-prime's (doi:10.1038/s41587-019-0164-5)."""
K_MERS = (1, 2, 3, 4)


class ConvolutionHead(nn.Module):
    """Three convolutions with ReLU, then a dense layer, after Optimus 5-prime (doi:10.1038/s41587-019-0164-5).

    Like theirs it lays ``length`` positions side by side before the dense layer, so that it may learn where a motif
    counts. Shorter sequences end where the longest do, with zeros before them: what is counted is the way to the end,
    in a 5' UTR that to the start codon. With ``length`` None the dense layer reads the greatest and the mean value of
    each filter over a sequence's own nucleotides, wherever they are.
    """

    def __init__(self, outputs: int, length: int | None = None) -> None:
        super().__init__()
        self.length = length
        self.convolutions = nn.ModuleList(
            nn.Conv1d(4 if layer == 0 else FILTERS, FILTERS, FILTER_WIDTH) for layer in range(LAYERS)
        )
        self.dense = nn.Linear(FILTERS * (2 if length is None else length), NODES)
        self.dropout = nn.Dropout(DROPOUT)
        self.decoder = nn.Linear(NODES, outputs)

    def forward(self, letters_T4: Tensor, layout: Layout) -> Tensor:
        """(T, 4) of N whole sequences, start and end included, to (N, outputs).

        ValueError for a sequence of more than ``length`` nucleotides.
        """
        values_NCL, inside_N1L = _apart(letters_T4, layout, self.length)
        for convolution in self.convolutions:
            # as many positions as before
            padded_NCL = F.pad(values_NCL, ((FILTER_WIDTH - 1) // 2, FILTER_WIDTH // 2))
            values_NCL = F.relu(convolution(padded_NCL))
            if self.length is None:  # behind a sequence it is 0 again, as before a shorter batch's edge
                values_NCL = values_NCL * inside_N1L
        if self.length is None:
            mean_NC = values_NCL.sum(2) / inside_N1L.sum(2).clamp(min=1)
            read_NF = torch.cat([values_NCL.amax(2), mean_NC], 1)  # nothing is below 0 after ReLU
        else:
            read_NF = values_NCL.flatten(1)
        return self.decoder(self.dropout(F.relu(self.dense(read_NF))))


class KmerHead(nn.Module):
    """A linear function of how often each k-mer of 1 to 4 letters is there, as a share of the sequence's k-mers.

    Shares are centred and scaled by ``mean_K`` and ``deviation_K``, 1 until :mod:`nuclex.training.linear` sets them.
    """

    mean_K: Tensor
    deviation_K: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        count = sum(4**k for k in K_MERS)
        self.register_buffer("mean_K", torch.zeros(count))
        self.register_buffer("deviation_K", torch.ones(count))
        self.decoder = nn.Linear(count, outputs)

    def forward(self, letters_T4: Tensor, layout: Layout) -> Tensor:
        """(T, 4) of N whole sequences to (N, outputs)."""
        return self.decoder((kmer_shares(letters_T4, layout) - self.mean_K) / self.deviation_K)


def kmer_shares(letters_T4: Tensor, layout: Layout) -> Tensor:
    """Shares (N, 340) of the 4 letters, 16 pairs, 64 triples and 256 quadruples in each of N sequences, in that order.

    Within a k, k-mers are in the order of A, C, G, U. One with an ambiguous letter is not counted; a sequence without
    any k-mer of a k has shares of 0.
    """
    code_T, plain_T = letters_T4.argmax(1), letters_T4.amax(1) == 1  # start and end are not plain: they part sequences
    count, shares = len(layout.lengths), []
    for k in K_MERS:
        windows_Tk, plain_Tk = (F.pad(column_T, (0, k - 1)).unfold(0, k, 1) for column_T in (code_T, plain_T))
        power_k = 4 ** torch.arange(k - 1, -1, -1, device=code_T.device)
        kmer_T, whole_T = (windows_Tk * power_k).sum(1) + layout.sequence_T * 4**k, plain_Tk.all(1)
        counts_NK = torch.bincount(kmer_T[whole_T], minlength=count * 4**k).view(count, 4**k).to(torch.float32)
        shares.append(counts_NK / counts_NK.sum(1, keepdim=True).clamp(min=1))
    return torch.cat(shares, 1)


def _apart(letters_T4: Tensor, layout: Layout, length: int | None) -> tuple[Tensor, Tensor]:
    """Sequences without start and end in rows of their own, (N, 4, L), 0 elsewhere; and where they are, (N, 1, L).

    They begin in column 0 of as many as the longest needs, or, where there is a ``length``, end in the last of so many.
    """
    lengths_N = layout.boundaries_N1.diff() - 2
    columns = max(layout.longest - 2, 1) if length is None else length
    if layout.longest - 2 > columns:
        raise ValueError(f"a sequence of {layout.longest - 2} nucleotides, where {columns} have weights")
    inside_T = (layout.positions_T > 0) & (layout.positions_T <= lengths_N[layout.sequence_T])
    rows_M, places_M = layout.sequence_T[inside_T], layout.positions_T[inside_T] - 1
    if length is not None:
        places_M = places_M + length - lengths_N[rows_M]
    shape = (len(layout.lengths), columns)
    letters_NL4 = letters_T4.new_zeros(*shape, 4).index_put((rows_M, places_M), letters_T4[inside_T])
    inside_NL = letters_T4.new_zeros(*shape).index_put((rows_M, places_M), letters_T4.new_ones(()))
    return letters_NL4.transpose(1, 2), inside_NL[:, None]
