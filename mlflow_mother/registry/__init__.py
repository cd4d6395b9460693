"""The seam to MLflow, and the only importer of its client.

==================  ===========================================================================================
``entry_point``     what MLflow itself loads just before its first registry store is built; starts the capture
``capture``         wraps the stores' ``create_model_version``; ``enable`` and ``disable``
``identity``        which registry this is, and which of Mother's stores belongs to it
``connection``      :class:`~mlflow_mother.registry.connection.Registry`: one registry as this process sees it
``workspaces``      a server's workspaces, and working in one of them
``versions``        the registry's model versions, page by page, and their aliases
``news``            what is new at the top of the registry's list
``artifacts``       a version's files, local or remote, one at a time
``proxied``         where a server keeps the artifacts that it proxies
``declared``        the parents that metadata names
``webhooks``        webhooks at a server: made, listed, tested, removed
``tags``            the ``mother.*`` tags: names, values, who they are about
``write_back``      tags, ``lineage.json``, ``lineage.html`` and ``fingerprint.safetensors``
==================  ===========================================================================================

MLflow imports this package in every process that touches a registry, so it stays empty: names live in the modules.
"""
