"""Posts each new lineage of mlflow-mother to an HTTP endpoint, signed as MLflow signs its webhooks.

``plugin`` is the entry point and turns a lineage into a message; ``delivery`` carries messages from a thread of its
own, so that no registration waits; ``signature`` signs and verifies; ``settings`` reads ``MLFLOW_MOTHER_NOTIFY_*``.
"""
