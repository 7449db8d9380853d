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
const search = document.querySelector("form input[type=search]");  // a README may have one, but no form
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
const zone = document.querySelector(".upload");
if (zone) {
  zone.hidden = false;
  const most = 512 * 1024 * 1024;  // the browser has to hold a file whole to compute its hash
  const input = zone.querySelector("input"), list = zone.querySelector(".uploads");
  const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const send = (form, item) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();  // fetch does not tell how far an upload is
    request.open("POST", zone.dataset.to);
    request.setRequestHeader("X-Requested-With", "gateway");
    request.setRequestHeader("Accept", "application/json, text/plain");
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) item.lastChild.textContent = Math.floor(100 * event.loaded / event.total) + " %";
    };
    request.onload = () => {
      if (request.status === 200) return resolve();
      let why = request.status + " " + request.statusText;
      try { why = JSON.parse(request.responseText).error || why; } catch { /* not ours */ }
      reject(new Error(why));
    };
    request.onerror = () => reject(new Error("The connection broke off"));
    request.send(form);
  });
  const upload = async (file, item) => {
    if (!crypto.subtle) throw new Error("Browsers compute hashes only on pages with https; use twine here");
    if (file.size > most) throw new Error("Too large for a browser; use twine or gateway publish");
    const form = new FormData();
    form.append(":action", "file_upload");
    form.append("sha256_digest", hex(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())));
    form.append("content", file);
    await send(form, item);
  };
  // Wheels first: nobody who installs in between builds from source.
  const order = (a, b) => b.name.endsWith(".whl") - a.name.endsWith(".whl") || (a.name < b.name ? -1 : 1);
  let before = Promise.resolve();
  const take = (files) => {
    for (const file of [...files].sort(order)) {
      const item = document.createElement("li");
      item.append(file.name + ": ", document.createElement("span"));
      item.lastChild.textContent = "waits";
      list.append(item);
      before = before.then(async () => {
        try {
          await upload(file, item);
          item.lastChild.textContent = "is published";
          item.className = "published";
          const link = document.createElement("a");
          link.href = zone.dataset.page + file.name.split("-")[0].toLowerCase().replace(/[-_.]+/g, "-") + "/";
          link.textContent = "Look at the page";
          item.append(" ", link);
        } catch (error) {
          item.lastChild.textContent = error.message;
          item.className = "failed";
        }
      });
    }
  };
  input.addEventListener("change", () => { take(input.files); input.value = ""; });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files);
    });
  }
}
