"""RiNALMo's released files: their names, both layouts of attention, heads, the threshold, and files that are bad."""

import pytest
import torch

from nuclex.bundle.rinalmo import RINALMO, Released, read_released, write_released
from nuclex.bundle.weights import filled, skeleton, unshared
from nuclex.core.errors import InputError
from nuclex.models import Layout, rinalmo
from nuclex.models.heads import ClassHeadConfig, PairHeadConfig

DEPTH, WIDTH, INNER, HEADS = 2, 16, 42, 4
IDS = torch.tensor([0, 5, 6, 4, 8, 20, 7, 2])
PRETRAINED = {  # as the repository and its users' remap scripts have them
    "embedding.weight": (22, WIDTH),
    **{
        f"transformer.blocks.{layer}.{name}": shape
        for layer in range(DEPTH)
        for name, shape in {
            "mh_attn.Wqkv.weight": (3 * WIDTH, WIDTH),
            "mh_attn.out_proj.weight": (WIDTH, WIDTH),
            "attn_layer_norm.weight": (WIDTH,),
            "attn_layer_norm.bias": (WIDTH,),
            "out_layer_norm.weight": (WIDTH,),
            "out_layer_norm.bias": (WIDTH,),
            "transition.0.linear.weight": (INNER, WIDTH),
            "transition.0.linear.bias": (INNER,),
            "transition.0.linear_gate.weight": (INNER, WIDTH),
            "transition.0.linear_gate.bias": (INNER,),
            "transition.0.beta": (1,),
            "transition.2.weight": (WIDTH, INNER),
            "transition.2.bias": (WIDTH,),
        }.items()
    },
    "transformer.final_layer_norm.weight": (WIDTH,),
    "transformer.final_layer_norm.bias": (WIDTH,),
    "lm_mask_head.linear1.weight": (WIDTH, WIDTH),
    "lm_mask_head.linear1.bias": (WIDTH,),
    "lm_mask_head.layer_norm.weight": (WIDTH,),
    "lm_mask_head.layer_norm.bias": (WIDTH,),
    "lm_mask_head.linear2.weight": (22, WIDTH),
    "lm_mask_head.linear2.bias": (22,),
}
PAIR_HEAD = {
    "pred_head.linear_in.weight": (8, 2 * WIDTH),
    "pred_head.linear_in.bias": (8,),
    **{
        f"pred_head.resnet.blocks.{block}.conv_net.{place}.weight": (8, 8, size, size)
        for block in range(2)
        for place, size in ((0, 1), (3, 3), (6, 1))
    },
    "pred_head.conv_out.weight": (1, 8, 3, 3),
    "pred_head.conv_out.bias": (1,),
}
CLASS_HEAD = {
    "pred_head.classifier.0.weight": (12, WIDTH),
    "pred_head.classifier.0.bias": (12,),
    "pred_head.classifier.2.weight": (5, 12),
    "pred_head.classifier.2.bias": (5,),
}


def drawn(shapes, prefix=""):
    generator = torch.Generator().manual_seed(0)
    return {f"{prefix}{name}": torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def saved(path, entries):
    torch.save(entries, path)
    return path


def network(released):
    return filled(skeleton(released.config, vocabulary_size=22, pad_id=1, mask_id=4), released.network, None)


def read_logits(path):
    with torch.no_grad():
        return network(read_released(path, heads=HEADS))(IDS, Layout.of([len(IDS)]))


def apart(entries):
    """The same weights in the layout without flash attention."""
    found = {}
    for name, value in entries.items():
        outer = name.removesuffix("Wqkv.weight").removesuffix("out_proj.weight")
        if name.endswith("Wqkv.weight"):
            for part, third in zip("qkv", value.chunk(3), strict=True):
                found[f"{outer}mh_attn.to_{part}.weight"] = third.clone()
            size = WIDTH // HEADS
            found[f"{outer}mh_attn.rotary_emb.inv_freq"] = 1 / 10_000 ** (torch.arange(0, size, 2) / size)
        elif name.endswith("mh_attn.out_proj.weight"):
            found[f"{outer}mh_attn.out_proj.weight"] = value
        else:
            found[name] = value
    return found


def test_a_pretrained_file_is_read_and_written_entry_by_entry(tmp_path):
    entries = drawn(PRETRAINED)
    released = read_released(saved(tmp_path / "a.pt", entries), heads=HEADS)
    assert (released.config.depth, released.config.width, released.config.inner) == (DEPTH, WIDTH, INNER)
    assert (released.head, released.threshold) == (None, None)
    assert torch.equal(
        released.network["blocks.1.mixer.query_key_value.weight"], entries["transformer.blocks.1.mh_attn.Wqkv.weight"]
    )
    assert torch.equal(
        released.network["blocks.0.feedforward.gate.weight"],
        entries["transformer.blocks.0.transition.0.linear_gate.weight"],
    )
    write_released(tmp_path / "b.pt", released)
    again = torch.load(tmp_path / "b.pt", weights_only=True)
    assert again.keys() == entries.keys()
    assert all(torch.equal(value, entries[name]) for name, value in again.items())


def test_both_layouts_of_attention_are_the_same_network(tmp_path):
    entries = drawn(PRETRAINED)
    one, other = saved(tmp_path / "a.pt", entries), saved(tmp_path / "b.pt", apart(entries))
    assert len(torch.load(other, weights_only=True)) == len(entries) + 3 * DEPTH
    assert torch.equal(read_logits(one), read_logits(other))
    assert float(read_logits(one).abs().max()) > 1


def test_the_published_sizes_fit_and_have_twenty_heads():
    for size in ("nano", "micro", "mega", "giga"):
        config = rinalmo(size).backbone()
        assert RINALMO.misfit(config, 1) is None
        assert len(RINALMO.weights(config)) == 1 + 13 * config.depth + 2 + 6
    assert RINALMO.misfit(config.model_copy(update={"norm": "pre"}), 1) == "norm is 'pre', where only 'rinalmo' fits"
    assert RINALMO.misfit(config.model_copy(update={"head": "none"}), 1) is not None


@pytest.mark.parametrize("threshold", [0.13, torch.tensor(0.13)])
def test_a_structure_file_keeps_its_head_and_its_threshold(tmp_path, threshold):
    entries = {**drawn(PRETRAINED, "lm."), **drawn(PAIR_HEAD), "threshold": threshold}
    released = read_released(saved(tmp_path / "a.pt", entries), heads=HEADS)
    assert released.head == PairHeadConfig(channels=8, blocks=2, kernel=3)
    assert released.threshold == pytest.approx(0.13)
    assert torch.equal(
        released.head_weights["blocks.1.convolutions.1.weight"], entries["pred_head.resnet.blocks.1.conv_net.3.weight"]
    )
    built = released.head.build(WIDTH, 1)
    built.load_state_dict(released.head_weights, strict=True)
    write_released(tmp_path / "b.pt", released)
    again = torch.load(tmp_path / "b.pt", weights_only=True)
    assert again.keys() == entries.keys()
    assert all(torch.equal(torch.as_tensor(value), torch.as_tensor(entries[name])) for name, value in again.items())


def test_a_file_of_classes_keeps_its_head(tmp_path):
    entries = {**drawn(PRETRAINED, "rinalmo."), **drawn(CLASS_HEAD)}
    released = read_released(saved(tmp_path / "a.pt", entries), heads=HEADS)
    assert (released.head, released.outputs) == (ClassHeadConfig(hidden=12), 5)
    write_released(tmp_path / "b.pt", released)
    again = torch.load(tmp_path / "b.pt", weights_only=True)
    assert again.keys() == entries.keys()
    assert all(torch.equal(value, entries[name]) for name, value in again.items())


def test_a_splice_heads_log_odds_are_those_of_the_second_of_two_classes(tmp_path):
    shapes = {**CLASS_HEAD, "pred_head.classifier.2.weight": (1, 12), "pred_head.classifier.2.bias": (1,)}
    entries = {**drawn(PRETRAINED, "rinalmo."), **drawn(shapes)}
    released = read_released(saved(tmp_path / "a.pt", entries), heads=HEADS)
    assert released.outputs == 2
    head = released.head.build(WIDTH, 2)
    head.load_state_dict(released.head_weights, strict=True)
    hidden_TD = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        probability = head(hidden_TD, Layout.of([6])).softmax(-1)[0, 1]
    first, second = (
        (entries[f"pred_head.classifier.{place}.weight"], entries[f"pred_head.classifier.{place}.bias"])
        for place in (0, 2)
    )
    theirs = torch.nn.functional.linear(
        torch.nn.functional.gelu(torch.nn.functional.linear(hidden_TD[0], *first)), *second
    )
    torch.testing.assert_close(probability, theirs.sigmoid()[0])
    write_released(tmp_path / "b.pt", released)
    again = torch.load(tmp_path / "b.pt", weights_only=True)
    assert again.keys() == entries.keys()
    assert all(torch.equal(value, entries[name]) for name, value in again.items())


def without(name):
    return lambda entries: entries.pop(name)


BLOCK = "transformer.blocks.1.transition.0."
WRONG = {
    "missing beta": ("", {}, without(f"{BLOCK}beta"), rf"lacks the weight '{BLOCK}beta'"),
    "missing layer": (
        "",
        {},
        lambda entries: [entries.pop(name) for name in list(entries) if name.startswith("transformer.blocks.0.")],
        r"is not a whole file of RiNALMo",
    ),
    "no language head": (
        "",
        {},
        lambda entries: [entries.pop(name) for name in list(entries) if name.startswith("lm_mask_head.")],
        r"lacks the weight 'lm_mask_head\.linear1\.weight', .* and 3 more",
    ),
    "left over": ("", {}, lambda entries: entries.update(pooler=torch.ones(1)), "holds the weight 'pooler'"),
    "no embedding": ("", {}, without("embedding.weight"), "it is not a file of RiNALMo"),
    "other vocabulary": (
        "",
        {},
        lambda entries: entries.update({"embedding.weight": torch.ones(28, WIDTH)}),
        "its embedding has 28 rows, not 22",
    ),
    "threshold alone": ("", {}, lambda entries: entries.update(threshold=0.1), "a threshold but no head"),
    "head without threshold": ("lm.", PAIR_HEAD, lambda entries: None, "lacks the entry 'threshold'"),
    "odd threshold": ("lm.", PAIR_HEAD, lambda entries: entries.update(threshold=7.0), "it is no probability"),
    "long threshold": ("lm.", PAIR_HEAD, lambda entries: entries.update(threshold=torch.ones(2)), "not a whole file"),
    "half a head": (
        "lm.",
        PAIR_HEAD,
        lambda entries: (entries.update(threshold=0.1), entries.pop("pred_head.conv_out.bias")),
        r"lacks the weight 'pred_head\.conv_out\.bias'",
    ),
    "regression": (
        "lm.",
        {"pred_head.linear_in.weight": (8, WIDTH), "pred_head.linear_out.weight": (1, 8)},
        lambda entries: None,
        "the head of a regression",
    ),
    "text": ("", {}, lambda entries: entries.update(note="made by me"), "holds 'note', which is no weight"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_or_partial_file_is_refused(tmp_path, case):
    prefix, head, spoil, message = WRONG[case]
    entries = {**drawn(PRETRAINED, prefix), **drawn(head)}
    spoil(entries)
    with pytest.raises(InputError, match=message):
        read_released(saved(tmp_path / "a.pt", entries), heads=HEADS)


def test_other_heads_than_it_was_made_with_are_refused_where_that_is_known(tmp_path):
    path = saved(tmp_path / "a.pt", apart(drawn(PRETRAINED)))
    with pytest.raises(InputError, match="made with 4 attention heads, not 2; give heads"):
        read_released(path, heads=2)
    with pytest.raises(InputError, match="not a multiple of heads 20"):
        read_released(saved(tmp_path / "b.pt", drawn(PRETRAINED)))


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"not a file of torch"])
def test_what_is_no_file_of_tensors_is_refused(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a file of tensors"):
        read_released(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [torch.ones(3), [torch.ones(3)], {3: torch.ones(3)}])
def test_what_has_no_names_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="no weights by name"):
        read_released(saved(tmp_path / "a.pt", value))


def test_a_pickle_that_would_run_something_is_not_run(tmp_path):
    class Call:
        def __reduce__(self):
            return (open, (str(tmp_path / "mark"), "w"))

    with pytest.raises(InputError, match="more than tensors, which could run code"):
        read_released(saved(tmp_path / "a.pt", {"embedding.weight": Call()}))
    assert not (tmp_path / "mark").exists()


def test_released_files_hold_copies(tmp_path, making):
    model = making.model("rinalmo")
    write_released(tmp_path / "a.pt", Released(model.config, unshared(model)))
    assert torch.equal(read_logits(tmp_path / "a.pt"), model.eval()(IDS, Layout.of([len(IDS)])).detach())
