"""The `gguf` package and llama.cpp read the weights that a pack gives back, and we read theirs."""

import hashlib
import itertools

import gguf
import numpy

import llama
import pack
from mbhost import REPOSITORY, WithHome


class Weights(WithHome):
    def exported(self, file):
        """The GGUF file that comes out of the store after the pack `file` went in."""
        out = self.folder / "exported.gguf"
        self.mbhost("pack", "add", "--yes", file)
        self.mbhost("pack", "export-weights", "dense", "--out", out)
        return out

    def check_export(self, *options):
        """Both readers see in an export what `mbhost pack inspect` says of the pack, and the bytes
        that lie in the pack file."""
        file = self.built("dense", *options)
        out = self.exported(file)
        read = of_package(out)
        said = {
            it["name"]: (it["type"], it["shape"], it["bytes"])
            for it in self.inspected(file)["weights"]["tensors"]
        }
        self.assertEqual({name: it[:3] for name, it in read.items()}, said)
        self.assertEqual(read, self.held(file))
        self.assertEqual(of_llama_cpp(out), read)

    def held(self, file):
        """The tensors in a pack file, in all of its shards."""
        found = {}
        for number, content in enumerate(pack.sections(file, "modularbase:weights")):
            shard = self.folder / f"shard-{number}.gguf"
            shard.write_bytes(content)
            found |= of_package(shard)
        return found

    def test_they_read_floats(self):
        self.check_export()

    def test_they_read_eight_bits(self):
        self.check_export("--quantize", "q8_0")

    def test_they_read_four_bits(self):
        self.check_export("--quantize", "q4_0")

    def test_what_the_package_wrote_comes_back_unchanged(self):
        theirs = self.folder / "theirs.gguf"
        needed = self.inspected(self.built("dense"))["weights"]["tensors"]
        types = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
        write(theirs, needed, types, gguf.quants.quantize)
        file = self.built("dense", "--weights", theirs)
        self.assertEqual(of_package(self.exported(file)), of_package(theirs))

    def test_what_llama_cpp_quantised_comes_back_unchanged(self):
        # Its types of 256 numbers a block, which the package cannot write, need a wider pack.
        manifest = self.folder / "pack.toml"
        text = (REPOSITORY / "packs/dense/pack.toml").read_text()
        for line in ("width = 64", "feed-forward = 128"):
            self.assertEqual(text.count(f"\n{line} "), 1, line)
            text = text.replace(f"\n{line} ", f"\n{line.split()[0]} = 256 ")
        manifest.write_text(text)
        theirs, file = self.folder / "theirs.gguf", self.folder / "wide.wasm"
        small = self.inspected(self.built("dense"))["weights"]["tensors"]
        wide = [it | {"shape": [256] * len(it["shape"])} for it in small]
        write(theirs, wide, ["Q4_K", "Q5_K", "Q6_K"], llama.quantized)
        taken = ["--weights", theirs, "--manifest", manifest]
        self.mbhost("pack", "wrap", "--code", "dense", *taken, "--out", file)
        self.assertEqual(of_llama_cpp(self.exported(file)), of_llama_cpp(theirs))


def of_package(path):
    """What the `gguf` package reads: name to type, shape (outermost first), size and digest."""
    return {
        it.name: facts(it.tensor_type.name, it.shape.tolist()[::-1], it.data.tobytes())
        for it in gguf.GGUFReader(path).tensors
    }


def of_llama_cpp(path):
    """What llama.cpp reads: the same."""
    return {name: facts(*it) for name, it in llama.tensors(path).items()}


def facts(kind, shape, data):
    return kind, shape, len(data), hashlib.sha256(data).hexdigest()


def write(path, needed, types, quantized):
    """Tensors of the names and shapes that are needed, the matrices in one type after another."""
    numbers, matrices = numpy.random.default_rng(0), itertools.cycle(types)
    writer = gguf.GGUFWriter(path, "dense")
    for it in needed:
        values = numbers.standard_normal(it["shape"], dtype=numpy.float32)
        if values.ndim == 1:
            writer.add_tensor(it["name"], values)
            continue
        kind = gguf.GGMLQuantizationType[next(matrices)]
        writer.add_tensor(it["name"], quantized(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
