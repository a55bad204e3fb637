"""Modules and parameters by modality, for modalities of any name.

torch refuses a dot in the name of a submodule or parameter, and the names of a container's own attributes, such as
`keys` and `training`. Every adapter names parts of a model, tables and features after modalities by
:func:`module_name`, so that the checkpoints and exchange files of both agree.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView

from torch import nn

ESCAPES = {"%": "%25", ".": "%2E", " ": "%20"}
"""Blanks are escaped because they join names made of two modalities."""
_TAKEN = (nn.ModuleDict(), nn.ParameterDict())


def module_name(modality: str) -> str:
    """Name of a modality's submodule or parameter: the modality's own where torch allows that.

    No two modalities share a name: escapes are those of URLs, and a lone `%` at the end marks an attribute's name.

    Example:
        >>> module_name("visual"), module_name("clip.vit"), module_name("keys")
        ('visual', 'clip%2Evit', 'keys%')
    """
    escaped = "".join(ESCAPES.get(character, character) for character in modality)
    return f"{escaped}%" if any(hasattr(container, escaped) for container in _TAKEN) else escaped


def _modality(name: str) -> str:
    """The inverse of :func:`module_name`."""
    plain = name[:-1] if name.endswith("%") else name
    for character, escape in reversed(ESCAPES.items()):
        plain = plain.replace(escape, character)
    return plain


class ModalityModules(nn.ModuleDict):
    """An `nn.ModuleDict` whose keys are modalities of any name.

    Example:
        >>> list(ModalityModules({"clip.vit": nn.Identity(), "keys": nn.Identity()}))
        ['clip.vit', 'keys']
    """

    def __getitem__(self, key: str) -> nn.Module:
        return super().__getitem__(module_name(key))

    def __setitem__(self, key: str, module: nn.Module) -> None:
        super().__setitem__(module_name(key), module)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(module_name(key))

    def __iter__(self) -> Iterator[str]:
        return map(_modality, super().__iter__())

    def __contains__(self, key: str) -> bool:
        return super().__contains__(module_name(key))

    def keys(self) -> KeysView[str]:
        """The modalities."""
        return dict.fromkeys(self).keys()

    def items(self) -> ItemsView[str, nn.Module]:
        """Modalities and their modules."""
        return dict(zip(self, self.values(), strict=True)).items()


class ModalityParameters(nn.ParameterDict):
    """An `nn.ParameterDict` whose keys are modalities of any name."""

    def _key_to_attr(self, key: str) -> str:
        return module_name(key)
