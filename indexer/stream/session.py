"""A session that reads partitions: a Session in all but where its frames come from."""

from indexer.config.settings import Config
from indexer.config.stream_url import StreamAddress
from indexer.metrics import Metrics
from indexer.pipeline.session import Session
from indexer.relay.position import Stored
from indexer.stream.partitions import Partitions, Place
from indexer.stream.reading import Reader


def stream_session(config: Config, address: StreamAddress, metrics: Metrics) -> Session:
    """A session under a new lock: it has no partitions yet."""
    session = Session(config, metrics, Stored(), 0)
    place = Place(config.relay_host)
    partitions = Partitions(place)
    session.position, session.watermark = place, partitions
    session.firehose = Reader(address, config.relay_host, partitions, metrics)
    return session
