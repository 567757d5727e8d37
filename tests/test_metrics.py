"""What the worker counts, where counting is more than adding one."""

from unified_indexer.metrics import RECONNECTS_KEPT, Metrics


def test_equal_reasons_to_reconnect_are_one_with_its_count_and_last_time() -> None:
    metrics = Metrics()
    for _ in range(11):
        metrics.reconnecting("Cannot connect")
    first = metrics.last_reconnects[-1].at
    metrics.reconnecting("Disconnected")
    metrics.reconnecting("Cannot connect")
    assert [(one.why, one.times) for one in metrics.last_reconnects] == [("Disconnected", 1), ("Cannot connect", 12)]
    assert metrics.last_reconnects[-1].at >= first
    assert metrics.reconnects == 13
    for number in range(2 * RECONNECTS_KEPT):
        metrics.reconnecting(str(number))
    assert len(metrics.last_reconnects) == RECONNECTS_KEPT


def test_a_reason_to_reconnect_in_a_relay_s_words_is_short_and_printable() -> None:
    metrics = Metrics()
    metrics.reconnecting("the relay says \x1b[2J\r\n\x9b" + "x" * 100_000)
    (told,) = metrics.last_reconnects
    assert told.why.isprintable()
    assert len(told.why) < 400
