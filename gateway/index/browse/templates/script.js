"use strict";
for (const button of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
for (const image of document.querySelectorAll(".readme img")) {
  const show = () => image.replaceWith(image.alt);
  if (image.complete && !image.naturalWidth) show();
  else image.addEventListener("error", show);
}
const search = document.querySelector("input[type=search]");
if (search) {
  let timer, running;
  const found = () => search.value ? "?q=" + encodeURIComponent(search.value) : "./";
  // Not as a form: that may not be redirected to another site, and people may have to log in there first.
  const look = () => location.assign(found());
  search.form.addEventListener("submit", (event) => { event.preventDefault(); look(); });
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (running) running.abort();
      running = new AbortController();
      const url = found();
      const accept = {Accept: "text/html, application/xhtml+xml"};
      try {
        const answer = await fetch(url, {headers: accept, signal: running.signal});
        if (answer.status === 401) return look();
        if (!answer.ok) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.getElementById("results").replaceWith(page.getElementById("results"));
        history.replaceState(null, "", url);
      } catch (error) {
        if (error.name !== "AbortError") look();
      }
    }, 120);
  });
}
