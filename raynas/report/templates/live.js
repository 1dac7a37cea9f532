"use strict";
(function () {
  // A page that is served asks for its version, and is shown again when the records have changed.
  let known = null;

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch("version", { cache: "no-store" });
      if (!answer.ok) return;
      const version = await answer.text();
      if (known !== null && version !== known) location.reload();
      known = version;
    } catch (error) {
      return;
    }
  }

  look();
  setInterval(look, 3000);
})();
