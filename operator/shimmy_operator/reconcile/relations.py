"""Which objects mean something to which others, so that a change costs as much as what it concerns.

Objects listen to topics and tell them. When what an object has to tell changes, appears or goes, those who listen to it
are looked at again.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shimmy_api import names
from shimmy_operator.cluster.resources import Manifest, Reference, reference
from shimmy_operator.cluster.store import Store
from shimmy_operator.render.namespace import namespace_of
from shimmy_operator.render.secrets import mirrored_keys

Topic = tuple[str, ...]
Listener = Callable[[Reference], None]
_Index = defaultdict[Topic, Counter[Reference]]
"""Who has to do with a topic, and by how many objects: a Secret may be there twice while it moves."""


def model_topic(namespace: str, name: str) -> Topic:
    """That there is a model of this name in a namespace."""
    return ("model", namespace, name)


def shared_topic(name: str) -> Topic:
    """That a model of this name is shared."""
    return ("shared", name)


def alias_topic(namespace: str, name: str) -> Topic:
    """That a model of a namespace goes by a name or an alias."""
    return ("alias", namespace, name)


def chain_topic(namespace: str, model: str) -> Topic:
    """That an instance says what stands in for a model."""
    return ("chain", namespace, model)


def tenant_topic(name: str) -> Topic:
    """That there is a tenant of this name."""
    return ("tenant", name)


def home_topic(namespace: str) -> Topic:
    """That a namespace is, or is to be, a tenant's."""
    return ("home", namespace)


def sleep_topic(namespace: str) -> Topic:
    """That an instance of a namespace may have no pod."""
    return ("sleep", namespace)


def label_topic(label: str) -> Topic:
    """That the objects with this value of the label shimmy.dev/tenant are a tenant's."""
    return ("label", label)


def issuer_topic(issuer: str | None) -> Topic:
    """How tokens of an issuer are checked, as the oldest tenant says; None for the cluster itself."""
    return ("issuer", issuer or "")


def subject_topic(issuer: str | None, audience: str, value: str) -> Topic:
    """That tokens about somebody are a tenant's."""
    return ("subject", issuer or "", audience, value)


def key_topic(key: str) -> Topic:
    """That a tenant holds an API key."""
    return ("key", hashlib.sha256(key.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Relation:
    """What one object has to do with others."""

    subject: Reference
    """The object, or the one that it belongs to."""
    listens: frozenset[Topic] = frozenset()
    tells: frozenset[Topic] = frozenset()
    content: Hashable = None
    """What it tells: the same again is no news."""
    firsts: Mapping[Topic, tuple[str, ...]] = field(default_factory=dict)
    """Topics on which the least of all words counts alone, and this object's word."""


class Relations:
    """The relations of all objects in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[Reference, Relation] = {}
        self._listening: _Index = defaultdict(Counter)
        self._telling: _Index = defaultdict(Counter)
        self._firsts: defaultdict[Topic, dict[Reference, tuple[str, ...]]] = defaultdict(dict)
        self._listeners: list[Listener] = []
        store.listen(self._changed)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every object that something has been told."""
        self._listeners.append(listener)

    def telling(self, topic: Topic) -> frozenset[Reference]:
        """The objects that tell a topic now."""
        return frozenset(self._telling.get(topic, ()))

    def first(self, topic: Topic) -> Reference | None:
        """The object whose word on a topic counts."""
        words = self._firsts.get(topic, {})
        return min(words, key=words.__getitem__, default=None)

    def tenants(self, topic: Topic) -> list[Manifest]:
        """The tenants that tell a topic now, by name."""
        found = sorted(self._telling.get(topic, ()), key=lambda key: key.name)
        return [tenant for key in found if (tenant := self.store.find(key)) is not None]

    def _changed(self, manifest: Manifest) -> None:
        key = reference(manifest)
        live = self.store.find(key)
        before, after = self._known.get(key), None if live is None else relation_of(live)
        if before == after:
            return
        topics = {topic for relation in (before, after) if relation for topic in relation.firsts}
        words = {topic: self._word(topic) for topic in topics}
        if before is not None:
            self._forget(key, before)
        if after is not None:
            self._learn(key, after)
        news = _news(before, after) | {topic for topic in topics if self._word(topic) != words[topic]}
        subjects = {relation.subject for relation in (before, after) if relation}
        for concerned in {who for topic in news for who in self._listening.get(topic, ())} - subjects:
            for listener in self._listeners:
                listener(concerned)

    def _word(self, topic: Topic) -> tuple[str, ...] | None:
        return min(self._firsts.get(topic, {}).values(), default=None)

    def _learn(self, key: Reference, relation: Relation) -> None:
        self._known[key] = relation
        _join(self._listening, relation.listens, relation.subject)
        _join(self._telling, relation.tells, relation.subject)
        for topic, word in relation.firsts.items():
            self._firsts[topic][key] = word

    def _forget(self, key: Reference, relation: Relation) -> None:
        del self._known[key]
        _leave(self._listening, relation.listens, relation.subject)
        _leave(self._telling, relation.tells, relation.subject)
        for topic in relation.firsts:
            del self._firsts[topic][key]
            if not self._firsts[topic]:
                del self._firsts[topic]


def _news(before: Relation | None, after: Relation | None) -> frozenset[Topic]:
    """What is told now and was not, or not like this."""
    old = before.tells if before else frozenset()
    new = after.tells if after else frozenset()
    same_content = before is not None and after is not None and before.content == after.content
    return old ^ new if same_content else old | new


def relation_of(manifest: Manifest) -> Relation | None:
    """What an object has to do with others; None if it is of no kind that has. Pure."""
    find = _FINDERS.get(manifest["kind"])
    return find(manifest) if find else None


def named_models(spec: dict[str, Any]) -> frozenset[str]:
    """The models that a tenant's spec names."""
    entries = [*(spec.get("keys") or ()), *(spec.get("tokens") or ()), spec.get("fallback") or {}]
    return frozenset(name for entry in entries for name in entry.get("models") or ())


def _of_model(manifest: Manifest) -> Relation:
    metadata, spec = manifest["metadata"], manifest["spec"]
    namespace, name = metadata["namespace"], metadata["name"]
    aliases, sharing = tuple(spec.get("aliases") or ()), spec.get("sharedWith") or {}
    tenants = tuple(sharing.get("tenants") or ())
    shared = bool(sharing.get("allTenants") or tenants)
    return Relation(
        reference(manifest),
        listens=_set(*(alias_topic(namespace, alias) for alias in aliases), *(tenant_topic(name) for name in tenants)),
        tells=_set(
            *(alias_topic(namespace, alias) for alias in (name, *aliases)),
            model_topic(namespace, name),
            *([shared_topic(name)] if shared else ()),
        ),
        content=(metadata.get("creationTimestamp"), aliases, shared, tenants),
    )


def _of_tenant(manifest: Manifest) -> Relation:
    spec, name = manifest["spec"], manifest["metadata"]["name"]
    namespace, tokens = namespace_of(manifest), spec.get("tokens") or ()
    created = str(manifest["metadata"].get("creationTimestamp") or "")
    models = named_models(spec)
    subjects = [
        subject_topic(token.get("issuer"), token.get("audience", ""), value)
        for token in tokens
        for value in token.get("values") or ()
    ]
    checks = {issuer_topic(token.get("issuer")): _check_of(token) for token in reversed(tokens)}
    return Relation(
        reference(manifest),
        listens=_set(
            *checks,
            *subjects,
            *(model_topic(namespace, model) for model in models),
            *(shared_topic(model) for model in models),
            sleep_topic(namespace),
        ),
        tells=_set(tenant_topic(name), home_topic(namespace), label_topic(names.bounded(name)), *subjects),
        content=(created, tuple(checks.items())),
        firsts={topic: (created, name, *check) for topic, check in checks.items()},
    )


def _check_of(token: dict[str, Any]) -> tuple[str, str]:
    """What an issuer has one of: the claim that counts, and its keys."""
    return token.get("claim", ""), (token.get("jwks") or {}).get("key", "")


def _of_instance(manifest: Manifest) -> Relation:
    metadata, spec = manifest["metadata"], manifest["spec"]
    namespace, fallback = metadata["namespace"], (spec.get("routing") or {}).get("fallback")
    sleeps = [sleep_topic(namespace)] if sleepy(spec) else []
    if not fallback:
        return Relation(reference(manifest), tells=_set(*sleeps))
    chains = [chain_topic(namespace, model) for model in spec.get("models") or ()]
    models = [model_topic(namespace, model) for model in fallback.get("models") or ()]
    return Relation(
        reference(manifest),
        listens=_set(*chains, *models),
        tells=_set(*chains, *sleeps),
        content=(metadata.get("creationTimestamp"), repr(fallback)),
    )


def sleepy(spec: dict[str, Any]) -> bool:
    """Whether an instance may have no pod, now or by a schedule."""
    found = spec.get("autoscaling") or {}
    least = [found.get("minReplicas"), *(one.get("minReplicas") for one in found.get("schedules") or ())]
    return 0 in least


def _of_secret(manifest: Manifest) -> Relation | None:
    keys = _set(*(key_topic(key) for key in mirrored_keys(manifest).values()))
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if keys and owner["kind"] == "ShimmyTenant":
            return Relation(Reference("ShimmyTenant", None, owner["name"]), listens=keys, tells=keys)
    return None


_FINDERS: Final[dict[str, Callable[[Manifest], Relation | None]]] = {
    "ShimmyModel": _of_model,
    "ShimmyTenant": _of_tenant,
    "ShimmyInstance": _of_instance,
    "Secret": _of_secret,
}


def _set(*topics: Topic) -> frozenset[Topic]:
    return frozenset(topics)


def _join(index: _Index, topics: Iterable[Topic], who: Reference) -> None:
    for topic in topics:
        index[topic][who] += 1


def _leave(index: _Index, topics: Iterable[Topic], who: Reference) -> None:
    for topic in topics:
        index[topic][who] -= 1
        if not index[topic][who]:
            del index[topic][who]
        if not index[topic]:
            del index[topic]
