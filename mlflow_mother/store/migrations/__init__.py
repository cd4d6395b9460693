"""Alembic's environment for Mother's tables, kept apart from MLflow's."""
