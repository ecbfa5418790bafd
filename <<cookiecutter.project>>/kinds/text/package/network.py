"""Builds the network."""

from __future__ import annotations

import keras


def build_network(
    vocabulary: int, length: int, labels: int, units: int = 64, dropout: float = 0.4
) -> keras.Model:
    """Build a network that reads a text's words without their order.

    Each word has a vector, which is learnt; a text's features are the mean and the maximum of
    its words' vectors.

    Change here: a ``Conv1D`` or a recurrent layer before the pooling, once there are enough
    texts to learn word order from. The input's name is the loader's, the output's name is the
    config's and the loader's.

    Args:
        vocabulary: number of words, padding and the unknown word included.
        length: words in a row.
        labels: number of labels.
        units: length of a word's vector.
        dropout: share of the features that each training step leaves out.

    Returns:
        From ``text`` (batch, length) int32 to ``label`` (batch, labels) float32, the
        probability of each.
    """
    layers = keras.layers
    text = keras.Input((length,), dtype="int32", name="text")
    vectors = layers.Embedding(vocabulary, units)(text)
    pooled = layers.Concatenate()(
        [layers.GlobalAveragePooling1D()(vectors), layers.GlobalMaxPooling1D()(vectors)]
    )
    features = layers.Dropout(dropout)(pooled)
    label = layers.Dense(labels, activation="softmax", name="label")(features)
    return keras.Model({"text": text}, {"label": label})
