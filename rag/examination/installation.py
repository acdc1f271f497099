"""The installation: Python packages, the build of FAISS, the parsers' sandbox, and what reading some files takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib import metadata

from indexes.errors import StorageError
from indexes.faiss_library import load_faiss
from ingest.errors import IngestError
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.readers import libreoffice
from ingest.readers.ocr_engines import unavailable
from ingest.readers.unpacking import archive_library_problem
from ingest.task import OcrOptions
from models.devices import Devices
from rag.examination.finding import Finding, error, ok, warning

_PACKAGES = ("onnxruntime", "faiss", "xllamacpp", "pypdfium2", "unstructured", "gradio")
_FAISS_WHEELS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12")
ENGINE_NAMES = {"rapidocr": "RapidOCR", "tesseract": "Tesseract"}
_BY_LIBREOFFICE = (
    "WordPerfect, Works, Lotus and StarOffice files (.wpd, .wps, .wk1, .sdw), old drawings (.vsd, .cdr), damaged .doc"
)


def examine_packages() -> Finding:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return error("packages", f"missing: {', '.join(missing)}", "pip install -r requirements.txt")
    return ok("packages", "all there")


def examine_faiss(devices: Devices, wished: str) -> Iterator[Finding]:
    """Whether FAISS loads, and whether it can use a GPU that is there. `wished` is the setting `device`."""
    wheels = [wheel for wheel in _FAISS_WHEELS if _version(wheel)]
    named = ", ".join(f"{wheel} {_version(wheel)}" for wheel in wheels)
    if len(wheels) > 1:
        remedy = f"they overwrite each other: pip uninstall {' '.join(wheels)}, then install one requirements file anew"
        yield error("FAISS", f"{named} are installed together", remedy)
        return
    try:
        faiss = load_faiss()
    except StorageError as exc:
        yield error("FAISS", str(exc), "install its CUDA libraries, and name them in LD_LIBRARY_PATH (docs/gpu.md)")
        return
    if not devices.gpus or wished == "cpu":
        yield ok("FAISS", f"{named}; the index is searched on the CPU")
    elif not hasattr(faiss, "StandardGpuResources"):
        remedy = "requirements-gpu.txt has the build for the GPU (docs/gpu.md)"
        yield warning("FAISS", f"{named} is a build for the CPU: the index is searched there", remedy)
    elif (seen := int(faiss.get_num_gpus())) == 0:
        yield warning("FAISS", f"{named} sees no GPU: the index is searched on the CPU", "update NVIDIA's driver")
    else:
        yield ok("FAISS", f"{named} sees {seen} GPU{'s' if seen > 1 else ''}")


def examine_sandbox() -> Finding:
    pool = ParserPool(1, Limits())
    try:
        report = pool.sandbox()
    except IngestError as exc:
        return error("sandbox", f"no parser process starts: {exc}", "see the log, and report it")
    finally:
        pool.close()
    if report.weaknesses:
        return warning("sandbox", " ".join(report.weaknesses), "allow user namespaces")
    return ok("sandbox", f"parsers are limited, and kept from the network by {report.network}")


def examine_text_recognition(options: OcrOptions) -> Finding:
    """What reads scanned pages and pictures, as the settings have it."""
    if options.engine == "off":
        return warning("text recognition", "off: scanned pages and pictures are not read", "LECTERN_OCR=rapidocr")
    named = f"{ENGINE_NAMES[options.engine]}, for {', '.join(options.languages)}"
    if problem := unavailable(options):
        return error("text recognition", f"{named}: {problem}", "correct LECTERN_OCR or LECTERN_OCR_LANGUAGES")
    return ok("text recognition", f"{named}: reads scanned pages and pictures")


def examine_office() -> Finding:
    soffice = libreoffice.program()
    if soffice:
        return ok("LibreOffice", f"{soffice}; it reads {_BY_LIBREOFFICE}")
    remedy = "install LibreOffice (requirements-apt.txt), if you have such files"
    return warning("LibreOffice", f"not found; without it there is no text of {_BY_LIBREOFFICE}", remedy)


def examine_archives() -> Finding:
    """The archives that a library of the system reads; all others need none."""
    if archive_library_problem() is None:
        return ok("libarchive", "found; it reads .rar, .cab and .iso archives")
    remedy = "install libarchive13 (requirements-apt.txt), if you have such files"
    return warning("libarchive", "not found; without it .rar, .cab and .iso archives are not read", remedy)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
