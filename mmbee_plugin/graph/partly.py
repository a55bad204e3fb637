"""Makes the arrays of one graph in one process, with new lists for touched nodes and earlier ones for all others."""

from collections.abc import Callable
from functools import cached_property

from mmbee_plugin.graph.content import ContentSteps
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.making import InProcess
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.refresh import Kept, Refresh
from mmbee_plugin.graph.settings import GraphSettings, Interactions


class Partly(InProcess):
    """:class:`~mmbee_plugin.graph.making.InProcess` with a refresh; graphs are those of the gifts, and exact."""

    def __init__(
        self,
        seen: Interactions,
        settings: GraphSettings,
        refresh: Refresh,
        content: Callable[[], ContentSteps | None] = lambda: None,
    ) -> None:
        super().__init__(seen, settings, content)
        self.refresh = refresh

    @cached_property
    def kept(self) -> Kept:
        """Which lists are kept."""
        return self.refresh.on(self.u2a)

    @property
    def reach(self) -> PackedLists:
        if self.settings.pools_visits:  # those of the earlier snapshot hold its visits already
            return super().reach
        return self.kept.reach(self.u2a, self.settings, self.by_row, self.content)

    def lists(self, name: str) -> PackedLists:
        if name not in self._found:
            self._found[name] = self.kept.lists(self.expansion, Metapath.parse(name), self.settings)
        return self._found[name]
