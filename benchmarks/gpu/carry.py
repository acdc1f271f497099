"""Makes what a machine without a network must be given: `python benchmarks/gpu/carry.py weights | wheels`.

All of it lies in `benchmarks/gpu/.carry`, which git ignores: MiniLM's weights as fp16 (45 MB), and FAISS's GPU wheels
as one archive in parts that fit a machine which takes 64 MiB at a time. README.md says how they get there.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CARRIED = Path(__file__).with_name(".carry")
NAME = "all-minilm-l6-v2"
PART_BYTES = 56 << 20

# As requirements-gpu.txt has them; what they need besides comes with torch.
WHEELS = (
    "faiss-gpu-cuvs==1.15.1",
    "libcuvs-cu13==26.6.0",
    "libraft-cu13==26.6.0",
    "librmm-cu13==26.6.0",
    "rapids-logger==0.2.3",
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64")
FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
)


def carry_weights(source: Path, folder: Path) -> None:
    """Copy a sentence-transformers folder with its weights as fp16: half the bytes, the vectors' cosine 0.9999998 to
    those of fp32. The ONNX files beside the weights are left out."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    tensors = load_file(source / "model.safetensors")
    halves = {name: each.astype(np.float16) if each.dtype == np.float32 else each for name, each in tensors.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})


def carry_wheels(folder: Path, python_version: str) -> None:
    """Fetch the wheels for a Linux x86-64 machine of that Python, and put them into parts."""
    with tempfile.TemporaryDirectory() as wheels:
        platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
        kind = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python_version]
        command = [sys.executable, "-m", "pip", "download", *kind, *platforms, "--dest", wheels, *WHEELS]
        subprocess.run(command, check=True)
        archive = Path(wheels) / "wheels.tar"
        with tarfile.open(archive, "w") as tar:
            for wheel in sorted(Path(wheels).glob("*.whl")):
                tar.add(wheel, wheel.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with archive.open("rb") as stream:
            _split(stream, folder)


def _split(stream: io.BufferedReader, folder: Path) -> None:
    """part-01, part-02, …: `cat` in the order of their names makes the archive again."""
    number = 0
    while piece := stream.read(PART_BYTES):
        number += 1
        (folder / f"part-{number:02}").write_bytes(piece)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes what a machine without a network must be given.")
    parser.add_argument("what", choices=("weights", "wheels"))
    parser.add_argument("--python-version", default="3.12", help="of the machine with the GPU")
    options = parser.parse_args()
    CARRIED.mkdir(exist_ok=True)
    (CARRIED / ".gitignore").write_text("*\n")
    if options.what == "weights":
        cache = Path(os.environ.get("LECTERN_CACHE") or Path.home() / ".cache" / "lectern")
        source = cache / "models" / NAME
        if not (source / "model.safetensors").is_file():
            sys.exit(f"{source} holds no weights: python app.py models pull {NAME}")
        carry_weights(source, CARRIED / NAME)
    else:
        carry_wheels(CARRIED / "wheels", options.python_version)
    for file in sorted(CARRIED.rglob("*")):
        if file.is_file():
            print(f"{file.stat().st_size:>12,}  {file}")


if __name__ == "__main__":
    main()
