"""Rich text: read the facets of a text (lexicon app.bsky.richtext.facet), whatever else they contain."""

from typing import Any, cast

MAX_FACETS = 1_000  # the lexicon's text has 3,000 bytes
MENTION, TAG = "app.bsky.richtext.facet#mention", "app.bsky.richtext.facet#tag"


def too_many(facets: list[Any]) -> bool:
    """Whether these are more facets, with their features, than a text can have: each reply in a gated thread looks through its
    root's. Then the post is kept without them."""
    count = len(facets)
    for facet in facets:
        match facet:
            case {"features": [*inner]}:
                count += len(inner)
            case _:
                pass
    return count > MAX_FACETS


def features(facets: list[Any], kind: str) -> list[dict[str, Any]]:
    """The features of that kind in the facets."""
    found: list[dict[str, Any]] = []
    for facet in facets:
        match facet:
            case {"features": [*inner]}:
                maps = [cast("dict[str, Any]", feature) for feature in inner if isinstance(feature, dict)]
                found += [feature for feature in maps if feature.get("$type") == kind]
            case _:
                pass
    return found
