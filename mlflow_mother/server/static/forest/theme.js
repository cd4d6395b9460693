// Light or dark before anything is drawn: what was chosen in MLflow, else what the system says. A classic script.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem("_mlflow_dark_mode_toggle_enabled");
    } catch {
      return null; // Storage is forbidden here.
    }
  }

  function apply() {
    const choice = chosen();
    document.body.classList.toggle("dark-mode", choice === null ? system.matches : choice === "true");
  }

  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
})();
