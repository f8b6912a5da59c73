"""The recipe of a study in words: how every network was trained."""

from collections.abc import Mapping
from typing import Any

from analysis.numbers import number, plural

_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW (Loshchilov and Hutter, 2019)", "sgd": "SGD"}
_AUGMENTATIONS = {"flip": "random flips", "flip_crop": "random flips and crops"}
# The momentum of SGD if the study names none.
_MOMENTUM = 0.9


def recipe_in_words(recipe: Mapping[str, Any]) -> str:
    """Return the optimizer and everything that differs from the documented recipe: "AdamW, weight decay 0.01".

    Args:
        recipe: the constants of training that the study names, as study.json has them.
    """
    optimizer = recipe.get("optimizer", "adam")
    said = [_OPTIMIZERS.get(optimizer, str(optimizer))]
    if optimizer == "sgd":
        kind = "Nesterov's momentum" if recipe.get("nesterov") else "momentum"
        said.append(f"{kind} {number(recipe.get('momentum', _MOMENTUM))}")
    for name in ("weight_decay", "label_smoothing"):
        if recipe.get(name):
            said.append(f"{name.replace('_', ' ')} {number(recipe[name])}")
    if recipe.get("schedule") == "cosine":
        said.append("a cosine schedule (Loshchilov and Hutter, 2017)")
    if recipe.get("warmup_epochs"):
        said.append(f"a warm-up of {plural(recipe['warmup_epochs'], 'epoch')}")
    if recipe.get("augment", "none") != "none":
        said.append(_AUGMENTATIONS.get(recipe["augment"], str(recipe["augment"])))
    return ", ".join(said)
