"""A session that reads partitions: a Session in all but where its frames come from."""

from unified_indexer.config.settings import Config
from unified_indexer.config.stream_url import StreamAddress
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.session import Session
from unified_indexer.relay.position import Stored
from unified_indexer.stream.keys import partition_of
from unified_indexer.stream.partitions import Partitions, Place
from unified_indexer.stream.reading import Reader


class StreamSession(Session):
    """A session under a new lock: it has no partitions yet."""

    def __init__(self, config: Config, address: StreamAddress, metrics: Metrics) -> None:
        super().__init__(config, metrics, Stored(), 0)
        self.position = place = Place(config.relay_host)
        self.watermark = self._partitions = Partitions(place)
        self.firehose = Reader(address, config.relay_host, self._partitions, metrics)

    def has(self, did: str) -> bool:
        """Whether the account's partition is this worker's just now."""
        return partition_of(did) in self._partitions.parts
