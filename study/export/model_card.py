"""Writes the card of an exported network: how to load it, its data, its protocol, its accuracy and its limits."""

import hashlib
import json
from pathlib import Path

from analysis.numbers import number, percent, si
from analysis.report.digest import graded
from analysis.report.exports.methods import methods
from analysis.results.files import write_text
from analysis.results.load import StudyResults, load_results
from analysis.results.study_folder import StudyFolder
from analysis.verdict.shipping.best_weights import BestWeights, weights_to_ship, what_to_expect
from analysis.verdict.shipping.exported import WINNER
from analysis.verdict.summary import summarise
from analysis.verdict.summary_json import Latency, Summary
from study import __version__
from study.export.onnx_file import OnnxFile
from study.predict.predictor import Predictor

WHICH_QUESTION = (
    "The interval of the difference answers which of these two configurations is better. The interval over repeated"
    " searches answers which network is better once another such search has tuned each."
)


def write_card(folder: StudyFolder, predictor: Predictor, file: OnnxFile) -> Path:
    """Write the card beside an ONNX file, and return its path.

    The card of winner.onnx is MODEL_CARD.md. Each other file has a card of its own name.

    Raises:
        UnusableStudy: if groups of the study cannot be compared.
        DamagedFile: if a file of the study is damaged.
    """
    results = load_results(folder)
    summary = summarise(results)
    best = weights_to_ship(results, summary, folder)
    parts = {
        f"{results.architectures[predictor.arch]} for {results.study.data.title}": _origin(results, predictor, file),
        "Load it": _loading(predictor, file),
        "Data": _data(results),
        "Protocol": [methods(results, summary)],
        "Accuracy": _accuracy(results, summary, predictor, best),
        "Limits": _limits(summary),
        "Cost": _cost(summary, predictor),
        "Checks": [f"- {agreement.sentence}" for agreement in file.agreements],
    }
    sections = [
        f"{'##' if index else '#'} {title}\n\n" + "\n".join(lines) + "\n"
        for index, (title, lines) in enumerate(parts.items())
    ]
    card = file.path.with_name("MODEL_CARD.md" if file.path.name == WINNER else f"{file.path.stem}-MODEL_CARD.md")
    write_text(card, "\n".join(sections))
    return card


def _origin(results: StudyResults, predictor: Predictor, file: OnnxFile) -> list[str]:
    study = results.study
    config = ", ".join(f"{name} {number(value)}" for name, value in predictor.made.metrics["config"].items())
    return [
        f"`{file.path.name}` holds the network {results.architectures[predictor.arch]} (`{predictor.arch}`) with the"
        f" configuration {config}.",
        f"The final run `{predictor.run}` of the study `{study.name}` trained it.",
        "",
        f"- study id: {(study.model_extra or {}).get('id', 'none')}, begun {study.created[:10]}",
        f"- exported by: fairverdict {__version__}",
        f"- size: {len(file.content) / 1e6:,.2f} MB, SHA-256 {hashlib.sha256(file.content).hexdigest()}",
    ]


def _loading(predictor: Predictor, file: OnnxFile) -> list[str]:
    size = predictor.image_size
    depth = "" if predictor.bit_depth is None else f" It reads 16-bit images as images of {predictor.bit_depth} bits."
    return [
        "This needs numpy and onnxruntime, and no PyTorch:",
        "",
        "    import json",
        "",
        "    import numpy as np",
        "    import onnxruntime",
        "",
        f"    network = onnxruntime.InferenceSession({json.dumps(file.path.name, ensure_ascii=False)})",
        '    classes = json.loads(network.get_modelmeta().custom_metadata_map["classes"])',
        f"    images = np.zeros((1, {size}, {size}, 3), np.uint8)  # put your images here: red, green, blue, 0 to 255",
        f'    ({file.output},) = network.run(None, {{"images": images}})',
        f"    print([classes[label] for label in {file.output}.argmax(axis=1)])",
        "",
        f"The input `images` is uint8 [n, {size}, {size}, 3] with any n. The output `{file.output}` is float32",
        f"[n, {len(predictor.classes)}]. The network normalises the images itself.",
        "",
        f"The study scaled the central square of each image to {size} x {size} pixels with Pillow's bilinear filter,",
        "turned upright as its metadata say, with transparency on white. These lines need Pillow and read a JPEG so:",
        "",
        "    from PIL import Image, ImageOps",
        "",
        '    image = ImageOps.exif_transpose(Image.open("a.jpg")).convert("RGB")',
        f"    images = np.asarray(ImageOps.fit(image, ({size}, {size}), Image.Resampling.BILINEAR))[None]",
        "",
        f"`read_image` in fairverdict's `models.images` reads every kind of file.{depth}",
        "The metadata of the file hold the classes, the configuration, the normalisation, the image size, the study,",
        "the run, the SHA-256 of its weights, and the version.",
    ]


def _data(results: StudyResults) -> list[str]:
    data = results.study.data
    return [
        f"{data.title}: {data.n_train:,} training and {data.n_test:,} test images of {len(data.classes)} classes.",
        f"SHA-256 of all classes, images and labels: {data.fingerprint}.",
        *(f"{note.rstrip('.')}." for note in data.notes),
        "The classes, in the order of the output:",
        "",
        f"    {json.dumps(data.classes, ensure_ascii=False)}",
    ]


def _accuracy(results: StudyResults, summary: Summary, predictor: Predictor, best: BestWeights | None) -> list[str]:
    group = summary.groups[predictor.made.group]
    weights = f"final/{predictor.made.group}/seed-{predictor.made.seed}/model.safetensors"
    is_best = best is not None and best.weights == weights
    if best and is_best:
        expected = what_to_expect(best, 2)
    else:
        low, high = group.accuracy.ci95
        interval = f" (95 % interval {percent(low, 2)} to {percent(high, 2)} %)" if low is not None else ""
        own = float((predictor.made.logits.argmax(axis=1) == predictor.made.labels).mean())
        seeds = len(group.seeds)
        expected = (
            f"Expect {percent(group.accuracy.mean, 2)} % accuracy{interval} on new images like the test images. This is"
            f" the mean of {'1 final run' if seeds == 1 else f'the {seeds} final runs'} of this configuration on"
            f" {results.study.data.n_test:,} test images. The run in this file has {percent(own, 2)} %. If you chose it"
            " for its test accuracy, expect the mean."
        )
    lines = [expected, "", " ".join(filter(None, (summary.headline, summary.accuracies, summary.price)))]
    if summary.luck:
        lines += ["", summary.luck]
    if summary.verdict and summary.verdict.over_searches:
        lines.append(WHICH_QUESTION)
    if summary.advice:
        lines += ["", summary.advice]
    if not is_best:
        lines += ["", "These are not the weights that the study recommends." if best else "The study has no winner."]
    return lines


def _limits(summary: Summary) -> list[str]:
    return [
        "- The network always answers with one of its classes, also for an image of something else.",
        "- Its accuracy on images of another source, camera or size is not measured.",
        "- Its probabilities are not calibrated.",
        *(f"- {graded(caveat)}" for caveat in summary.caveats),
    ]


def _cost(summary: Summary, predictor: Predictor) -> list[str]:
    group = summary.groups[predictor.made.group]
    there = group.onnx_latency_ms
    lines = [f"{number(group.parameters, ',.0f')} parameters, {si(group.macs)} multiply-accumulates an image."]
    if group.latency_ms.p50 is None:
        return [*lines, "The study did not measure the time of a prediction."]
    lines.append(f"On the study's machine, PyTorch took {_median(group.latency_ms)} for one image.")
    if there:
        lines.append(f"ONNX Runtime took {_median(there)} there, on the CPU.")
    return lines


def _median(latency: Latency) -> str:
    return f"{number(latency.p50)} ms (median; 90 % of the calls took at most {number(latency.p90)} ms)"
