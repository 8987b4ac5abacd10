"""Which of Keras' classes and functions a `.keras` file may name.

Rule 1: a list of what is allowed, never of what isn't: Keras grows, and what it grows may run code.
Rule 2: nothing here calls a function that the file chose, reads another file, or loads
another framework's model.
Rule 3: this file decides; it never reads a file.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Keras' own, which work on tensors alone. Not among them: Lambda and other frameworks' layers, which run
# code; lookups and TextVectorization, which read vocabularies from files.
LAYERS = _words(
    """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional
    CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
    Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
    Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D
    DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten GRU
    GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D
    GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization
    LeakyReLU Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D
    MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention Multiply Normalization
    PReLU Permute RMSNormalization RNN RandAugment RandomBrightness RandomColorDegeneration
    RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
    RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization
    RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom ReLU
    RepeatVector Rescaling Reshape Resizing ReversibleEmbedding STFTSpectrogram SeparableConv1D
    SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax
    Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
    StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)
MODELS = frozenset({"Functional", "Model", "Sequential"})
# `x + y` and `keras.ops.mean(x)` in a functional model.
OPERATIONS = _words(
    """
    Abs Absolute AdaptiveAveragePool AdaptiveMaxPool Add All AllClose Amax Amin Angle Any Append
    Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax Argmin Argpartition Argsort
    ArraySplit Average AveragePool BatchNorm Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift
    BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cast Cbrt Ceil Celu Clip
    Concatenate Conj Conjugate Conv ConvTranspose Copy Corrcoef Correlate Cos Cosh CountNonzero
    Cross Cumprod Cumsum Deg2rad DepthToSpace DepthwiseConv Diag Diagflat Diagonal Diff Digitize
    Divide DivideNoNan Dot DotProductAttention Dsplit Dstack Einsum Elu EmptyLike Equal Erf Exp Exp2
    ExpandDims Expm1 Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Fold Full FullLike Gcd
    Gelu GetItem Glu Greater GreaterEqual HardShrink HardSigmoid HardSilu HardTanh Heaviside Hsplit
    Hstack Hypot I0 Imag Inner IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron
    LayerNorm Lcm Ldexp LeakyRelu LeftShift Less LessEqual Log Log10 Log1p Log2 LogSigmoid
    LogSoftmax Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor Logsumexp Matmul Max
    MaxPool Maximum Mean Median Meshgrid Min Minimum Mod Moments Moveaxis MultiHot Multiply NanToNum
    Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod
    Nanquantile Nanstd Nansum Nanvar Ndim Negative Normalize NotEqual OneHot OnesLike Outer Pad
    Percentile Polar Power Prod Ptp Quantile RMSNorm Rad2deg Ravel Real Reciprocal Relu Relu6 Repeat
    Reshape RightShift Roll Rot90 Round Rsqrt SearchSorted SegmentMax SegmentSum Select Selu
    SeparableConv Sigmoid Sign Signbit Silu Sin Sinc Sinh Size Slice Slogdet SoftShrink Softmax
    Softplus Softsign Sort SpaceToDepth SparsePlus SparseSigmoid Sparsemax Split Sqrt Square
    Squareplus Squeeze Stack Std StopGradient Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh
    TanhShrink Tensordot Threshold Tile TopK Trace Transpose Trapezoid Tril Triu TrueDivide Trunc
    Unfold UnravelIndex Unstack Var Vdot View Vsplit Vstack Where ZerosLike
    """
)
INITIALIZERS = _words(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
    LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer
    TruncatedNormal VarianceScaling Zeros
    """
)
REGULARIZERS = frozenset({"L1", "L1L2", "L2", "OrthogonalRegularizer"})
CONSTRAINTS = frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"})
POLICIES = frozenset({"DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "QuantizedDTypePolicy"})
FUNCTIONS = _words(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
    """
)
# Values that JSON has no word for.
MARKS = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"})
FUNCTION = "function"

# How a module's name starts -> which of its classes are allowed; the longest start that fits counts.
_BY_MODULE = {
    "keras": MODELS | POLICIES,
    "keras.activations": FUNCTIONS,
    "keras.src.activations": FUNCTIONS,
    "keras.constraints": CONSTRAINTS,
    "keras.dtype_policies": POLICIES,
    "keras.initializers": INITIALIZERS,
    "keras.layers": LAYERS,
    "keras.models": MODELS,
    "keras.ops": OPERATIONS,
    "keras.regularizers": REGULARIZERS,
    "keras.src.dtype_policies": POLICIES,
    "keras.src.initializers": INITIALIZERS,
    "keras.src.layers": LAYERS,
    "keras.src.models": MODELS,
    "keras.src.ops": OPERATIONS,
}


def allowed_in_h5(module: object, name: object) -> bool:
    """Whether an HDF5 file may name `name`: most of what it names has no module there."""
    if module is None and isinstance(name, str):
        return any(name in words for words in (MARKS, *_BY_MODULE.values()))
    return allowed(module, name)


def allowed(module: object, name: object) -> bool:
    """Whether a file may name the class or function `name` of `module`."""
    if not isinstance(name, str):
        return False
    if module is None:
        return name in MARKS
    if module == "builtins":
        return name in FUNCTIONS
    if not isinstance(module, str):
        return False
    parts = module.split(".")
    starts = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    found = next((start for start in starts if start in _BY_MODULE), None)
    # `keras` itself has few classes; its other modules have more than layers.
    return found is not None and (found != "keras" or module == "keras") and name in _BY_MODULE[found]
