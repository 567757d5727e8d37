"""A network with a past, and the model of all of it: what accounts had before the stream, and what that brings."""

from relay_simulator import tree
from relay_simulator.archive import record_truth
from relay_simulator.encoding import cid_text
from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.truth import OpTruth
from testing.model import Model


def model_of_the_past(settings: Settings) -> Model:
    """The model before the stream. Accounts that have one history share its records, which are in memory once."""
    model, ledger, past = Model(verify="full"), Ledger(settings), settings.past
    told: dict[bytes, list[OpTruth]] = {}
    for number in range(settings.accounts):
        rev, history = past.rev(number), past.history(number)
        if rev is None:
            continue
        root = history.root.cid
        if root not in told:
            told[root] = [
                record_truth(node.keys[entry], node.values[entry], history.blocks[node.values[entry]])
                for node, entry in tree.walk(history.root)
                if entry is not None
            ]
        model.before(ledger.did(number), rev, cid_text(root), told[root])
    return model
