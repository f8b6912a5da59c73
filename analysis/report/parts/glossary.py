"""The words of the report that not every reader knows, each explained in a sentence."""

import re

from markupsafe import Markup, escape

TERMS = {
    "baseline": "The documented configuration of a network. It is the first trial, and has final runs of its own.",
    "Brier score": "The sum of squared errors of an image's class probabilities, from 0 to 2 (Brier, 1950).",
    "calibration error": "The mean distance between the probability of an answer and its accuracy (ECE).",
    "cap": "The largest number of epochs that a run may be trained.",
    "equivalent": "The difference lies within the margin, by two one-sided tests: too little to matter.",
    "expected score": "A trial's mean score over seeds, estimated from the scores of all trials (Gaussian process).",
    "F1": "The harmonic mean of precision and recall. Macro F1 is its mean over classes.",
    "final run": "A training run on a fresh seed that is judged once on the test images.",
    "Holm p": "A p value corrected for the several comparisons of a kind (Holm, 1979).",
    "importance": "The share of the variance of the true score that a hyperparameter alone explains (fANOVA).",
    "interval": "The confidence interval, for fresh seeds and fresh test images.",
    "kappa": "Agreement beyond chance (Cohen, 1960).",
    "log loss": "The cross-entropy of the class probabilities on the test images.",
    "macro average": "A mean over classes that gives each class the same weight, however many images it has.",
    "margin": "A smaller difference in test accuracy does not matter. It was settled before the search.",
    "multiply-accumulates": "Multiplications with an addition that a network computes: a measure of its work.",
    "nats": "The unit of the loss: the cross-entropy with the natural logarithm.",
    "p": "The probability of a difference at least this large if the true difference is 0.",
    "p50": "Half of the predictions take at most this long.",
    "p90": "90 % of the predictions take at most this long.",
    "p99": "99 % of the predictions take at most this long.",
    "Pareto front": "The groups that no other group beats: none that costs no more is shown to be more accurate.",
    "patience": "A run stops after this many epochs without a lower validation loss.",
    "precision": "The share of the images with a class as the answer that belong to it. Macro: the mean over classes.",
    "recall": "The share of a class's images that get the class as the answer. Macro: the mean over classes.",
    "rung": "An epoch at which a trial stops if it is not among the best that reached it.",
    "score": "A trial's accuracy on the validation images, at the epoch of its lowest validation loss.",
    "seed": "A number that sets a run's data split, first weights, data order and dropout.",
    "seed corr.": "The correlation of the accuracies of runs with the same seed.",
    "throughput": "Images predicted in a second, many at a time.",
    "trial": "A run of the search with one configuration.",
    "tuned": "The configuration that the search found best. It may be the baseline itself.",
    "wins": "The paired runs in which A is more accurate than B. A tie counts as half a win.",
}
# Singular or plural, as a word of its own: "p" is not in "p50", nor "score" in "scored".
_PATTERNS = {
    term: re.compile(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", re.IGNORECASE if term != "F1" else 0) for term in TERMS
}


def explained(text: str) -> Markup:
    """Return the text as HTML. If it contains a term, it shows the explanation when the pointer rests on it."""
    found = [term for term in TERMS if _PATTERNS[term].search(text.replace("\N{NO-BREAK SPACE}", " "))]
    if not found:
        return Markup(escape(text))
    return Markup('<abbr title="{}">{}</abbr>').format(TERMS[max(found, key=len)], text)


def used_terms(body: str) -> dict[str, str]:
    """Return the terms that the visible text of the HTML uses, in alphabetical order, with their explanations."""
    text = Markup(re.sub(r"<svg.*?</svg>|<pre.*?</pre>", "", body, flags=re.DOTALL)).striptags()
    shown = text.replace("\N{NO-BREAK SPACE}", " ")
    return {term: TERMS[term] for term in sorted(TERMS, key=str.casefold) if _PATTERNS[term].search(shown)}
