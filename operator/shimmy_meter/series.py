"""What routers say of one Deployment, added up, and its peak. Pure. The work for each word is constant."""

from collections.abc import Iterable, Mapping
from typing import Final

from shimmy_meter.wire import DeploymentLoad, PodLoad

HELD_SECONDS: Final = 30.0
"""Two rounds of an autoscaler at its default of 15 s (--horizontal-pod-autoscaler-sync-period)."""


class Series:
    """One Deployment.

    Attributes:
        told: what routers that are heard said last, by router; who spoke last is last.
        pods: what was said last of each pod.
        instance: its ShimmyInstance's name.
        model: its ShimmyModel's name; empty where the instance's models share the pods.
    """

    __slots__ = ("_peaks", "_total", "instance", "model", "pods", "told")

    def __init__(self) -> None:
        self.told: dict[str, DeploymentLoad] = {}
        self.pods: dict[str, PodLoad] = {}
        self.instance = self.model = ""
        self._total = 0
        self._peaks: list[tuple[float, int]] = []
        """Those that may yet be the highest, highest first. A deque would take ten times the memory."""

    @property
    def peak(self) -> int:
        """The most that is not forgotten."""
        return self._peaks[0][1] if self._peaks else 0

    @property
    def known(self) -> bool:
        """Whether anybody says anything, or said what is not forgotten."""
        return bool(self.told or self._peaks)

    def put(self, router: str, load: DeploymentLoad, now: float) -> None:
        """Put what a router says in the place of what it said before."""
        before = self.told.pop(router, None)
        self.told[router] = load
        self.instance, self.model = load.instance, load.model
        self._total += load.held
        self._say(load.pods)
        if before is not None:
            self._total -= before.held
            if before.pods.keys() != load.pods.keys():
                self._unsay(before.pods.keys() - load.pods.keys())
        self._note(now)

    def drop(self, routers: Iterable[str], now: float) -> None:
        """Forget what routers said. Where nobody is left who says anything, that is no load of 0: nobody knows."""
        for router in routers:
            before = self.told.pop(router)
            self._total -= before.held
            self._unsay(before.pods)
        if self.told:
            self._note(now)

    def forget(self, now: float) -> None:
        """Forget peaks from longer ago than HELD_SECONDS."""
        peaks = self._peaks
        while peaks and now - peaks[0][0] > HELD_SECONDS:
            del peaks[0]

    def _say(self, words: Mapping[str, PodLoad]) -> None:
        pods, total = self.pods, self._total
        for pod, word in words.items():
            known = pods.get(pod)
            if known is not None:
                total -= known.in_flight + known.queued
            pods[pod] = word
            total += word.in_flight + word.queued
        self._total = total

    def _unsay(self, pods: Iterable[str]) -> None:
        """Of pods of which a router says nothing any more, the newest word of another one counts."""
        for pod in pods:
            known = self.pods.pop(pod)
            self._total -= known.in_flight + known.queued
            for load in reversed(self.told.values()):
                if pod in load.pods:
                    self._say({pod: load.pods[pod]})
                    break

    def _note(self, now: float) -> None:
        peaks, total = self._peaks, self._total
        while peaks and peaks[-1][1] <= total:
            peaks.pop()
        peaks.append((now, total))
        self.forget(now)
