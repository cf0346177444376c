// Before anything is painted: the theme that was chosen, else the system's.
(() => {
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("springtide-theme");
    } catch {
      // Storage may be forbidden; then the system's theme it is.
    }
    document.documentElement.dataset.theme = chosen ?? (wanted.matches ? "dark" : "light");
    dispatchEvent(new Event("themechange"));
  };
  wanted.addEventListener("change", apply);
  addEventListener("themechosen", apply);
  apply();
})();
