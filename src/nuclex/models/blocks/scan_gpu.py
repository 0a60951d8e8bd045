"""The kernels of mamba-ssm and flash-linear-attention, where they are installed, behind nuclex's own signatures.

Untested on hardware: written from the packages' documentation, on machines without a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nuclex.models.layout import Layout


def selective_scan_groups(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """``scan.selective_scan`` by mamba-ssm; its kernel knows no packing, so runs of equal length go together."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    inputs_TE, delta_TE, A_ES, B_TS, C_TS = parts
    outputs, memories = [], []
    for first, count, length in layout.groups:
        inputs_NEL, delta_NEL, B_NSL, C_NSL = (
            part[first : first + count * length].unflatten(0, (count, length)).mT.contiguous()
            for part in (inputs_TE, delta_TE, B_TS, C_TS)
        )
        outputs_NEL, memory_NES = selective_scan_fn(inputs_NEL, delta_NEL, A_ES, B_NSL, C_NSL, return_last_state=True)
        outputs.append(outputs_NEL.mT.flatten(0, 1))
        memories.append(memory_NES)
    return torch.cat(outputs), torch.cat(memories)


def dual_scan_packed(parts: list[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """``state_space_dual.dual_scan`` by flash-linear-attention, which takes packed sequences as they are."""
    from fla.ops.simple_gla import chunk_simple_gla

    written_THK, fade_TH, B_TRS, C_TRS = parts
    B_THS, C_THS = (part.repeat_interleave(fade_TH.shape[1] // part.shape[1], 1) for part in (B_TRS, C_TRS))
    batch = (part[None].contiguous() for part in (C_THS, B_THS, written_THK, fade_TH))
    outputs_1THK, memories_NHSK = chunk_simple_gla(
        *batch, scale=1.0, output_final_state=True, cu_seqlens=layout.boundaries_N1
    )
    return outputs_1THK[0], memories_NHSK.mT
