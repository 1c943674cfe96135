// Small niceties: everything works without them.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.done;
    } catch {
      button.hidden = true; // the browser does not allow it: the text can be selected
    }
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A countdown with the time of day where the user is. Only its end is announced: the
// element after it is a status.
for (const wait of document.querySelectorAll("[data-wait]")) {
  const end = Date.now() + wait.dataset.wait * 1000;
  const at = new Date(end).toLocaleTimeString(document.documentElement.lang);
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) {
      wait.textContent = wait.dataset.text.replace("%s", left).replace("%s", () => at);
      return;
    }
    clearInterval(timer);
    wait.textContent = "";
    wait.nextElementSibling.textContent = wait.dataset.over;
  };
  const timer = setInterval(tick, 1000);
  tick();
}
