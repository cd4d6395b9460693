// The Lineage tab on MLflow's registered-model and model-version pages.
