"""Which of TensorFlow's operations a SavedModel may have.

Rule 1: a list of what is allowed, as for Keras: TensorFlow has over a thousand, and some read or write files,
or run code.
Rule 2: nothing here reads or writes a file, but for what restores and saves a SavedModel's own variables,
which every SavedModel has. The child's confinement bounds what these can do.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Calls, variables and what writes and reads them.
CALLS = _words(
    """
    AssignVariableOp Const DisableCopyOnRead Identity IdentityN If MergeV2Checkpoints NoOp PartitionedCall
    Placeholder PlaceholderWithDefault PreventGradient ReadVariableOp RestoreV2 SaveV2 ShardedFilename
    StatefulPartitionedCall StatelessIf StatelessWhile StaticRegexFullMatch StopGradient StringJoin
    VarHandleOp VarIsInitializedOp VariableV2 While
    """
)
# Arithmetic.
ARITHMETIC = _words(
    """
    Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2
    BatchMatMulV3 Cast Ceil ClipByValue Cos Cosh Cumprod Cumsum Div DivNoNan Einsum Equal Erf Erfc Exp Expm1
    Floor FloorDiv FloorMod Greater GreaterEqual IsFinite IsInf IsNan Less LessEqual Log Log1p LogicalAnd
    LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Neg NotEqual Pow Prod RealDiv
    Reciprocal Rint Round Rsqrt SegmentSum Sigmoid Sign Sin Sinh Sqrt Square SquaredDifference Sub Sum Tan
    Tanh TopKV2 TruncateDiv Xdivy
    """
)
# Layers.
LAYERS = _words(
    """
    AvgPool AvgPool3D BatchNormWithGlobalNormalization BiasAdd Conv2D Conv2DBackpropInput Conv3D
    Conv3DBackpropInputV2 DepthToSpace DepthwiseConv2dNative Elu FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 L2Loss LRN LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 Relu Relu6 ResizeBilinear
    ResizeNearestNeighbor Selu Softmax Softplus Softsign SpaceToDepth
    """
)
# Shapes.
SHAPES = _words(
    """
    BatchToSpaceND BroadcastTo Concat ConcatV2 ExpandDims Fill Gather GatherNd GatherV2 MatrixBandPart
    MirrorPad OneHot Pack Pad PadV2 Range Rank Reshape ReverseSequence ReverseV2 ScatterNd Select SelectV2
    Shape ShapeN Size Slice SpaceToBatchND Split SplitV Squeeze StridedSlice TensorListFromTensor
    TensorListGetItem TensorListLength TensorListReserve TensorListSetItem TensorListStack TensorScatterUpdate
    Tile Transpose Unpack Where ZerosLike OnesLike
    """
)
OPERATIONS = CALLS | ARITHMETIC | LAYERS | SHAPES
