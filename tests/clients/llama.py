"""llama.cpp's own GGUF reader and quantiser: its C functions, as the wheel `xllamacpp` has them."""

import ctypes
from ctypes import POINTER, Structure, c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p

import numpy
import xllamacpp.xllamacpp


class InitParams(Structure):
    """`gguf_init_params`: with a place for a context, the reader also loads the numbers."""

    _fields_ = [("no_alloc", c_bool), ("context", POINTER(c_void_p))]


LIBRARY = ctypes.CDLL(xllamacpp.xllamacpp.__file__)


def function(name, result, *arguments):
    it = getattr(LIBRARY, name)
    it.restype, it.argtypes = result, arguments
    return it


gguf_init_from_file = function("gguf_init_from_file", c_void_p, c_char_p, InitParams)
gguf_free = function("gguf_free", None, c_void_p)
gguf_get_n_tensors = function("gguf_get_n_tensors", c_int64, c_void_p)
gguf_get_tensor_name = function("gguf_get_tensor_name", c_char_p, c_void_p, c_int64)
gguf_get_tensor_type = function("gguf_get_tensor_type", c_int, c_void_p, c_int64)
gguf_get_tensor_ne = function("gguf_get_tensor_ne", POINTER(c_int64), c_void_p, c_int64)
ggml_free = function("ggml_free", None, c_void_p)
ggml_get_tensor = function("ggml_get_tensor", c_void_p, c_void_p, c_char_p)
ggml_get_data = function("ggml_get_data", c_void_p, c_void_p)
ggml_n_dims = function("ggml_n_dims", c_int, c_void_p)
ggml_nbytes = function("ggml_nbytes", c_size_t, c_void_p)
ggml_quantize_chunk = function(
    "ggml_quantize_chunk", c_size_t, c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p
)
ggml_row_size = function("ggml_row_size", c_size_t, c_int, c_int64)
ggml_type_name = function("ggml_type_name", c_char_p, c_int)
ggml_validate_row_data = function("ggml_validate_row_data", c_bool, c_int, c_void_p, c_size_t)


def tensors(path):
    """Name to type, shape (outermost first) and bytes of every tensor."""
    context = c_void_p()
    file = gguf_init_from_file(str(path).encode(), InitParams(False, ctypes.pointer(context)))
    if not file:
        raise ValueError(f"{path}: llama.cpp refuses it")
    try:
        return dict(tensor(file, context, number) for number in range(gguf_get_n_tensors(file)))
    finally:
        gguf_free(file)
        ggml_free(context)


def tensor(file, context, number):
    name = gguf_get_tensor_name(file, number)
    kind = gguf_get_tensor_type(file, number)
    it = ggml_get_tensor(context, name)
    data, size = ggml_get_data(it), ggml_nbytes(it)
    # What `llama-cli --check-tensors` asks: no scale and no number that is infinite or none.
    if not ggml_validate_row_data(kind, data, size):
        raise ValueError(f"{name.decode()}: llama.cpp finds its numbers invalid")
    shape = gguf_get_tensor_ne(file, number)[: ggml_n_dims(it)]
    type_name = ggml_type_name(kind).decode().upper()
    return name.decode(), (type_name, shape[::-1], ctypes.string_at(data, size))


def quantized(values, kind):
    """The rows of a float32 matrix in blocks of `kind`, a number of ggml's, as bytes."""
    rows, columns = values.shape
    out = numpy.empty((rows, ggml_row_size(kind, columns)), dtype=numpy.uint8)
    done = ggml_quantize_chunk(kind, values.ctypes.data, out.ctypes.data, 0, rows, columns, None)
    assert done == out.nbytes, f"{done} of {out.nbytes} bytes are written"
    return out
