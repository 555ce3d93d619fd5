"""The settings of each method: one method a file. Without torch, so that the command line can list and read them."""

from __future__ import annotations

from collections.abc import Mapping

from ..recipe import Recipe
from .johnson import JohnsonRecipe
from .realtime import RealtimeRecipe
from .reconet import ReconetRecipe

RECIPES: Mapping[str, type[Recipe]] = {
    recipe.method: recipe for recipe in (RealtimeRecipe, JohnsonRecipe, ReconetRecipe)
}
"""The recipe of each method that trains a network, by the method's name."""
