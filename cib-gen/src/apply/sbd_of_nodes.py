# Prints what every node of the cluster says of SBD, as JSON. A node that does not answer says nothing.
import json
import sys

from pcs import utils
from pcs.lib.errors import LibraryError

# pcsd starts programs for the answer, and a node that has much to do takes its time. One without power is noticed sooner.
utils.pcs_options["--request-timeout"] = 30
try:
    sbd = utils.get_library_wrapper().sbd
    status = sbd.get_cluster_sbd_status()
    config = {node["node"]: node["config"] for node in sbd.get_cluster_sbd_config()}
except LibraryError:
    sys.exit(1)  # pcs has said why


def of_node(name, status):
    answers = [status.get(key) for key in ("installed", "enabled", "running")]
    settings = config.get(name)
    return {
        "node": name,
        "runs": None if None in answers else all(answers),
        # Without a setting, SBD takes 5 seconds.
        "timeout": None if settings is None else settings.get("SBD_WATCHDOG_TIMEOUT", "5"),
        "delay": None if settings is None else settings.get("SBD_DELAY_START", "no"),
    }


json.dump([of_node(node["node"], node["status"]) for node in status], sys.stdout)
