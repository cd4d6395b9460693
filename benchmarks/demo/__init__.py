"""The demo: a real family of small vision transformers, registered with plain MLflow calls."""
