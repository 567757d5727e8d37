"""Traces, where an operator asks for them: spans of batches and fetches, sent to a collector.

An extra of the OpenTelemetry project would bring ten packages or sixteen; what is needed of its protocol is otlp.py.

spans.py    a span, and those that wait to be sent
otlp.py     spans as OTLP's JSON
sending.py  to the collector, over HTTP; what it does not take is dropped (imported only where it is asked for)
"""
