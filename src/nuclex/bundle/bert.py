"""BERT as Hugging Face's ``transformers`` writes it: RoBERTa's network and names, with positions from row 0.

``AutoTokenizer`` and ``PreTrainedTokenizerFast`` read the tokenizer of such a bundle. ``BertTokenizerFast`` of
transformers 5 builds a WordPiece of words anew and makes ``<unk>`` of everything.
"""

from __future__ import annotations

from nuclex.bundle.foreign import Format, Keys
from nuclex.bundle.roberta import encoder_body, encoder_head, encoder_keys, encoder_sizes
from nuclex.models.architecture import BackboneConfig
from nuclex.models.presets import BertConfig


def _network(keys: Keys) -> BackboneConfig:
    return BertConfig(**encoder_sizes(keys, "BERT")).backbone()


BERT = Format(
    name="bert",
    classes=("BertForMaskedLM", "BertModel"),
    prefix="bert.",
    keys=encoder_keys,
    network=_network,
    body=encoder_body,
    head=lambda config: encoder_head(config, "transform.dense", "transform.LayerNorm", "cls.predictions."),
    more=("bert.pooler.", "pooler.", "cls.seq_relationship."),
    headless={"add_pooling_layer": False},
)
