"""Mother inside ``mlflow server``: the whole team's registrations, a JSON API, and what the browser shows.

===============  ================================================================================================
``app``          the ``mlflow.app`` factory, and what it mounts on MLflow's Flask application
``basic_auth``   the same beside MLflow's own sign-in
``autoui``       the same on a server whose app nobody can choose
``services``     the use cases, for one workspace at a time
``supervisor``   a thread of each server process; together they keep one worker of the deployment going
``worker``       that worker: a process of its own, behind the server's traffic
``environment``  what ``mlflow server`` tells its processes
``logs``         what Mother says among MLflow's own lines
``access``       who asks, and what MLflow would let them see and do
``api``          the JSON API under ``/ajax-api/2.0/mlflow-mother/``
``webhooks``     the other way round: receives what a server that one does not control tells of
``pages``        the script in MLflow's own page, the ``/mother/`` page, static files
``static/``      the Lineage tab and the ``/mother/`` page; they draw what the API laid out
===============  ================================================================================================

Only this package imports ``mlflow.server``. No request analyses anything: a registration is queued, and one worker of
the deployment does the work (:mod:`mlflow_mother.service`).
"""
