// Send a chosen picture to its bundle and show the answer.
for (const input of document.querySelectorAll("input[data-path]")) {
  const shown = input.closest("section").querySelector("pre[hidden]");
  input.addEventListener("change", async () => {
    const [picture] = input.files;
    if (!picture) return;
    shown.hidden = false;
    shown.textContent = "…";
    try {
      const headers = { "Content-Type": picture.type || "application/octet-stream" };
      const answer = await fetch(input.dataset.path, { method: "POST", body: picture, headers });
      shown.textContent = JSON.stringify(await answer.json(), null, 1);
    } catch (fault) {
      shown.textContent = String(fault);
    }
  });
}
