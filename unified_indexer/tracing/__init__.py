"""Traces, where an operator asks for them: spans of batches and fetches, sent to a collector.

Why without the packages of the OpenTelemetry project: docs/decisions/0015-traces-without-a-package.md.

spans.py    a span, and those that wait to be sent
otlp.py     spans as OTLP's JSON
sending.py  to the collector, over HTTP; what it does not take is dropped (imported only where it is asked for)
"""
