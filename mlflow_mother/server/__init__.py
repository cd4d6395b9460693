"""Mother inside ``mlflow server``: the whole team's registrations, a JSON API, and what the browser shows.

=============  =========================================================================================
``app``        the ``mlflow.app`` factories, and what they mount on MLflow's Flask application
``services``   the use cases for the workspace that a request is about
``access``     who asks, and what MLflow would let them see and do
``api``        the JSON API under ``/ajax-api/2.0/mlflow-mother/``
``pages``      the script in MLflow's own page, the ``/mother/`` page, static files
``static/``    the Lineage tab and the ``/mother/`` page; they draw what the API laid out
=============  =========================================================================================

Only this package imports ``mlflow.server``. It analyses nothing: a registration is queued, and one worker of the
deployment does the work (:mod:`mlflow_mother.service`).
"""
