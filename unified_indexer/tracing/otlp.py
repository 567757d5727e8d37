"""Spans as the body of a request to a collector: OTLP over HTTP, in JSON.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (identifiers are hexadecimal, 64-bit numbers are text).
"""

from collections.abc import Mapping, Sequence

import orjson

from unified_indexer.tracing.spans import Span, Value

INTERNAL, ERROR = 1, 2  # SpanKind, StatusCode
SCOPE = "unified_indexer"


def body(spans: Sequence[Span], resource: Mapping[str, Value]) -> bytes:
    """ExportTraceServiceRequest. `resource`: who sends it."""
    scope = {"scope": {"name": SCOPE}, "spans": [_span(span) for span in spans]}
    return orjson.dumps({"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]})


def _span(span: Span) -> dict[str, object]:
    found: dict[str, object] = {
        "traceId": span.trace,
        "spanId": span.id,
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": str(span.began),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes),
    }
    if span.parent:
        found["parentSpanId"] = span.parent
    if span.failed:
        found["status"] = {"code": ERROR, "message": span.failed}
    return found


def _attributes(values: Mapping[str, Value]) -> list[dict[str, object]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, object]:
    match value:
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
