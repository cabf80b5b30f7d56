// Small comforts; every page works without this file.
(() => {
  const day = 86400000;
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
  const today = new Date(); today.setHours(0, 0, 0, 0);
  for (const place of document.querySelectorAll("[data-date]")) {
    const days = Math.round((new Date(place.dataset.date + "T00:00") - today) / day);
    place.textContent = words.format(days, "day");
    place.hidden = false;
  }

  const filter = document.querySelector("form.filters");
  if (filter) {
    filter.hidden = false;
    const status = document.querySelector("#shown");
    filter.addEventListener("change", () => {
      const place = new FormData(filter).get("place");
      let shown = 0;
      for (const event of document.querySelectorAll(".events li")) {
        event.hidden = place !== "all" && event.dataset.place !== place;
        shown += event.hidden ? 0 : 1;
      }
      status.textContent = `${shown} ${shown === 1 ? "event" : "events"}`;
    });
  }

  // A chosen amount empties the free field, and the other way round.
  const other = document.querySelector("#other");
  if (other) {
    const presets = [...document.querySelectorAll("input[name=amount]")];
    for (const preset of presets) preset.addEventListener("change", () => { other.value = ""; });
    other.addEventListener("input", () => { for (const preset of presets) preset.checked = other.value === "" && preset.defaultChecked; });
  }
  for (const form of document.querySelectorAll("form.sheet")) {
    form.addEventListener("submit", () => {
      const button = form.querySelector("button");
      setTimeout(() => { button.disabled = true; }, 0);
      setTimeout(() => { button.disabled = false; }, 5000);
    });
  }
  // The first field that is wrong gets the focus, so that a screen reader says what to mend.
  document.querySelector("[aria-invalid=true]")?.focus();
})();
