"""A convolution of each channel with a filter as long as its sequence, by Fourier transform, for packed sequences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nuclex.models.layout import Layout


def transform_size(length: int) -> int:
    """The smallest 2^a or 3 * 2^a that is at least 2 * ``length``, so that nothing wraps round; both transform fast.

    It depends on the sequence's own length alone. Few sizes mean few groups, and at most a third is padding.

    >>> [transform_size(length) for length in (1, 3, 64, 65, 97)]
    [2, 6, 128, 192, 256]
    """
    power = 1 << (2 * length - 1).bit_length()
    return power * 3 // 4 if power >= 4 and power * 3 // 4 >= 2 * length else power


def lags_needed(layout: Layout) -> int:
    """How many lags a filter must know for ``long_convolution`` over this layout: half of the largest transform."""
    return transform_size(layout.longest) // 2


def long_convolution(values_TD: Tensor, filters_LD: Tensor, layout: Layout, ahead_LD: Tensor | None = None) -> Tensor:
    """Each value becomes the sum of all earlier ones of its sequence and itself, weighted by how far back they are.

    ``filters_LD[j]`` weighs the value j tokens back, ``ahead_LD[j]`` the one j tokens ahead (row 0 is not used; None
    for a causal convolution); lags without a row weigh 0. (T, D) to (T, D) in the dtype of ``values_TD``.

    Sequences with the same ``transform_size`` are transformed together, each in a row of its own with zeros behind it:
    none can reach another. Computed in float32 whatever the autocast (float64 for float64), with an error of about
    1e-6 of the largest value; so much of the future is rounded into the past, too.
    """
    dtype = torch.promote_types(values_TD.dtype, torch.float32)
    sizes = [transform_size(length) for length in layout.lengths]
    groups = {size: [place for place, other in enumerate(sizes) if other == size] for size in sorted(set(sizes))}
    longest = {size: max(layout.lengths[place] for place in places) for size, places in groups.items()}
    rows, starts, areas = 0, [0] * len(sizes), []
    for size, places in groups.items():
        for place in places:
            starts[place] = rows
            rows += longest[size]
        areas.append(len(places) * longest[size])
    row_T = torch.tensor(starts, device=values_TD.device)[layout.sequence_T] + layout.positions_T
    with torch.autocast(values_TD.device.type, enabled=False):
        padded_PD = values_TD.new_zeros(rows, values_TD.shape[1], dtype=dtype).index_copy(0, row_T, values_TD.to(dtype))
        mixed = []
        for (size, places), part_PD in zip(groups.items(), padded_PD.split(areas), strict=True):
            kernel_DF = torch.fft.rfft(_kernel(filters_LD.to(dtype), ahead_LD, size))
            part_NDL = part_PD.unflatten(0, (len(places), longest[size])).transpose(1, 2)
            mixed_NDL = torch.fft.irfft(torch.fft.rfft(part_NDL, n=size) * kernel_DF, n=size)
            mixed.append(mixed_NDL[..., : longest[size]].transpose(1, 2).flatten(0, 1))
        return torch.cat(mixed).index_select(0, row_T).to(values_TD.dtype)


def _kernel(filters_LD: Tensor, ahead_LD: Tensor | None, size: int) -> Tensor:
    """The filters as a circle of ``size`` lags (D, size): lag j at j, what is j tokens ahead at size - j."""
    back_DL = filters_LD[: size // 2].T
    kernel_DL = F.pad(back_DL, (0, size - back_DL.shape[1]))
    if ahead_LD is None:
        return kernel_DL
    ahead_DL = ahead_LD[1 : size // 2].to(filters_LD.dtype).T.flip(1)
    return kernel_DL + F.pad(ahead_DL, (size - ahead_DL.shape[1], 0))


def last_values(values_TD: Tensor, layout: Layout, count: int) -> Tensor:
    """The last ``count`` values of each sequence (N, count, ...), oldest first, 0 before its start."""
    places_NL = layout.boundaries_N1[1:, None] - torch.arange(count, 0, -1, device=values_TD.device)
    inside_NL = places_NL >= layout.boundaries_N1[:-1, None]
    kept = values_TD[places_NL.clamp(min=0)]
    return torch.where(inside_NL.reshape(*inside_NL.shape, *[1] * (kept.ndim - 2)), kept, 0)
