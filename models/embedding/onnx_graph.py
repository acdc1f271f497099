"""A BERT sentence encoder as an ONNX graph, written straight from its weights: tokens in, unit vectors out.

Written by hand because it is small (a dozen kinds of node), needs no torch, and can say how it wants to be quantised.

The int8 form multiplies 8-bit rows by 7-bit weights:
- A scale for each *row* of the input (each token) and not one for the whole tensor, so that a text's vector does not
  depend on the texts it shares a batch with, and one outlying token costs the others no precision.
- A scale for each *column* of the weights, and 7 bits of them: AVX2 adds two products in 16 bits, and 255 · 127 · 2
  would overflow there in silence (the onnxruntime option for this is called reduce_range).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Precision = Literal["fp32", "int8"]
Weights = Mapping[str, NDArray[np.float32]]

FUSED = "com.microsoft"  # onnxruntime's own kinds of node
WEIGHT_LIMIT = 63
ROW_LIMIT = 127
ZERO_POINT = 128


@dataclass(frozen=True)
class BertShape:
    """What the graph has to know of the model's config.json."""

    layers: int
    heads: int
    hidden: int
    epsilon: float


def encoder_model(weights: Weights, shape: BertShape, precision: Precision, stamp: str) -> onnx.ModelProto:
    """The model with inputs `input_ids` int32 (batch, tokens), `lengths` int32 (batch,) and `averaging` float32
    (batch, 1, tokens), whose rows are 1/length on the text and 0 on the padding; output `vectors` float32
    (batch, hidden), each row of length 1. `stamp` is kept in the file's metadata."""
    from onnx import TensorProto, helper

    graph = _Graph(weights, shape, precision)
    graph.write()
    tokens = ["batch", "tokens"]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT32, tokens),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        helper.make_tensor_value_info("averaging", TensorProto.FLOAT, ["batch", 1, "tokens"]),
    ]
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", shape.hidden])
    made = helper.make_graph(graph.nodes, "sentence-encoder", inputs, [output], graph.constants)
    versions = [helper.make_opsetid("", 18), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(made, opset_imports=versions, ir_version=9, producer_name="lectern")
    helper.set_model_props(model, {"stamp": stamp})
    return model


@dataclass
class _Graph:
    """Nodes and constants while they are written. Methods take and return the names of tensors."""

    weights: Weights
    shape: BertShape
    precision: Precision
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    quantised: dict[str, tuple[str, str]] = field(default_factory=dict)

    def write(self) -> None:
        if self.precision == "int8":
            self._quantisation_constants()
        state = self._embeddings()
        for number in range(self.shape.layers):
            state = self._layer(f"encoder.layer.{number}", state)
        mean = self._node("MatMul", ["averaging", state], "mean_in_batch")
        mean = self._node("Squeeze", [mean, self._constant("middle", np.array([1], np.int64))], "mean")
        self._node("LpNormalization", [mean], "vectors", axis=-1, p=2)

    def _embeddings(self) -> str:
        # Every token is of segment 0, so its row is added to the positions beforehand.
        places = self.weights["embeddings.position_embeddings.weight"]
        places = places + self.weights["embeddings.token_type_embeddings.weight"][0]
        words = self._weight("embeddings.word_embeddings.weight")
        norm = [self._weight(f"embeddings.LayerNorm.{part}") for part in ("weight", "bias")]
        ins = ["input_ids", "", words, self._constant("places", places), "", *norm]
        outs = ["embedded", "unused_mask"]
        return self._node("EmbedLayerNormalization", ins, *outs, domain=FUSED, epsilon=self.shape.epsilon)

    def _layer(self, name: str, state: str) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        projected = [self._product(state, part) for part in parts]
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        ins = [*projected, self._constant(f"{name}.attention.bias", bias), "lengths"]
        attended = self._node("MultiHeadAttention", ins, f"{name}.attended", domain=FUSED, num_heads=self.shape.heads)
        state = self._add_and_norm(attended, state, f"{name}.attention.output")
        widened = self._product(state, f"{name}.intermediate.dense")
        ins = [widened, self._weight(f"{name}.intermediate.dense.bias")]
        return self._add_and_norm(self._node("BiasGelu", ins, f"{name}.gelu", domain=FUSED), state, f"{name}.output")

    def _add_and_norm(self, change: str, state: str, name: str) -> str:
        product = self._product(change, f"{name}.dense")
        rest = ["LayerNorm.weight", "LayerNorm.bias", "dense.bias"]
        ins = [product, state, *(self._weight(f"{name}.{part}") for part in rest)]
        return self._node("SkipLayerNormalization", ins, f"{name}.out", domain=FUSED, epsilon=self.shape.epsilon)

    def _product(self, x: str, name: str) -> str:
        """`x` times the weights of `name`, without its bias: the next node adds that on its way."""
        matrix = self.weights[f"{name}.weight"].T
        if self.precision == "fp32":
            return self._node("MatMul", [x, self._constant(f"{name}.matrix", matrix)], f"{name}.product")
        rows, row_scales = self._quantised_rows(x)
        column_scales = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / WEIGHT_LIMIT
        columns = np.rint(matrix / column_scales).astype(np.int8)
        ins = [
            rows,
            self._constant(f"{name}.columns", columns),
            "one",
            self._constant(f"{name}.scales", column_scales.astype(np.float32)),
            "zero_point",
            self._constant(f"{name}.zero_points", np.zeros(columns.shape[1], np.int8)),
        ]
        unscaled = self._node("MatMulIntegerToFloat", ins, f"{name}.unscaled", domain=FUSED)
        return self._node("Mul", [unscaled, row_scales], f"{name}.product")

    def _quantised_rows(self, x: str) -> tuple[str, str]:
        """`x` as uint8 around `ZERO_POINT`, and the scale of each of its rows. Query, key and value share it."""
        if x not in self.quantised:
            largest = self._node("ReduceMax", [self._node("Abs", [x], f"{x}.abs"), "last_axis"], f"{x}.largest")
            scaled = self._node("Mul", [largest, "inverse_limit"], f"{x}.scales_or_zero")
            scales = self._node("Max", [scaled, "tiny"], f"{x}.scales")
            divided = self._node("Div", [x, scales], f"{x}.divided")
            rows = self._node("QuantizeLinear", [divided, "one", "zero_point"], f"{x}.rows")
            self.quantised[x] = (rows, scales)
        return self.quantised[x]

    def _quantisation_constants(self) -> None:
        self._constant("last_axis", np.array([-1], np.int64))
        self._constant("inverse_limit", np.array(1 / ROW_LIMIT, np.float32))
        self._constant("tiny", np.array(1e-12, np.float32))
        self._constant("one", np.array(1, np.float32))
        self._constant("zero_point", np.array(ZERO_POINT, np.uint8))

    def _weight(self, name: str) -> str:
        return self._constant(name, self.weights[name])

    def _constant(self, name: str, array: NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _node(self, kind: str, ins: list[str], *outs: str, domain: str = "", **attributes: float) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, ins, list(outs), domain=domain, **attributes))
        return outs[0]
