// Asks for the page again as soon as something on it has changed, and puts it in; counts the seconds of a code down.
"use strict";
(async () => {
  let tag = document.documentElement.dataset.tag;
  let ends = 0;
  const pause = (milliseconds) => new Promise((then) => setTimeout(then, milliseconds));
  const count = () => {
    const left = document.querySelector("[data-left]");
    if (!left) return;
    const seconds = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
    const text = left.dataset.words.replace("{0}", Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0"));
    if (left.textContent !== text) left.textContent = text;
  };
  const begin = () => {
    const left = document.querySelector("[data-left]");
    if (left) ends = performance.now() + 1000 * Number(left.dataset.left);
    count();
  };
  begin();
  setInterval(count, 1000);
  while (tag) {
    try {
      const answer = await fetch(location.href, { headers: { "If-None-Match": tag, Prefer: "wait=25", Accept: "text/html" }, cache: "no-store" });
      if (answer.status === 304) {
        await pause(500);
        continue;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      tag = page.documentElement.dataset.tag;
      document.title = page.title;
      const held = document.activeElement && document.activeElement.id;
      // What a person has typed or opened stays.
      for (const field of document.querySelectorAll("main input[id]")) {
        const same = page.getElementById(field.id);
        if (same) same.value = field.value;
      }
      for (const part of document.querySelectorAll("main details[id][open]")) {
        const same = page.getElementById(part.id);
        if (same) same.open = true;
      }
      document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
      if (held && document.getElementById(held)) document.getElementById(held).focus();
      begin();
    } catch {
      await pause(3000);
    }
  }
})();
