// Updates the state of the run in place, as long as it is in progress.
"use strict";

(() => {
  const sentence = document.getElementById("sentence");
  const details = document.getElementById("details");
  const lost = document.getElementById("lost");

  async function look() {
    let next = 1500;
    try {
      const answer = await fetch(location.pathname, { headers: { accept: "application/json" } });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      const now = await answer.json();
      lost.hidden = true;
      // Only if it has changed, because screen readers read it out.
      if (sentence.textContent !== now.sentence) {
        sentence.textContent = now.sentence;
      }
      // Rendered by our own template, which escapes other people's text.
      details.innerHTML = now.html;
      if (!now.under_way) {
        return;
      }
    } catch {
      lost.hidden = false;
      next = 5000;
    }
    setTimeout(look, next);
  }

  if ("underWay" in details.dataset) {
    setTimeout(look, 1500);
  }
})();
