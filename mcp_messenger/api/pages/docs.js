// Builds a form in each call that is opened, sends it, and shows the answer as it comes.
"use strict";
const words = JSON.parse(document.documentElement.dataset.words);
const say = (text, ...parts) => (words[text] ?? text).replace(/\{(\d)\}/g, (_, place) => parts[place]);
const SHOWN = 200000;
const add = (parent, name, text = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  return parent.appendChild(made);
};
const labelled = (form, name, where, control) => {
  const label = add(form, "label");
  add(label, "code", name);
  const made = add(label, control);
  made.dataset.name = name;
  made.dataset.in = where;
  made.autocomplete = "off";
  return made;
};
const build = (call) => {
  const form = add(call, "form");
  for (const row of call.querySelectorAll("tr[data-in]")) {
    if (row.dataset.in !== "body") labelled(form, row.dataset.name, row.dataset.in, "input").value = row.dataset.example || "";
  }
  const body = call.querySelector("pre.body");
  if (body) {
    const area = labelled(form, "body", "body", "textarea");
    area.value = body.textContent;
    area.rows = Math.min(20, area.value.split("\n").length + 1);
  }
  add(form, "button", say("Send"));
  const stop = add(form, "button", say("Stop"));
  stop.type = "button";
  stop.hidden = true;
  const answer = add(form, "pre");
  answer.setAttribute("role", "status");
  answer.hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(call, form, answer, stop);
  });
};
const send = async (call, form, answer, stop) => {
  const query = new URLSearchParams(), headers = {}, ending = new AbortController();
  let path = call.dataset.path, body;
  for (const one of form.querySelectorAll("[data-in]")) {
    const { name, in: where } = one.dataset;
    if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(one.value));
    else if (where === "body") body = one.value;
    else if (one.value !== "" && where === "query") query.append(name, one.value);
    else if (one.value !== "") headers[name] = one.value;
  }
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  answer.hidden = stop.hidden = false;
  answer.textContent = "";
  stop.onclick = () => ending.abort();
  const text = query.size ? `${path}?${query}` : path;
  try {
    const got = await fetch(text, { method: call.dataset.method, headers, body, signal: ending.signal });
    answer.textContent = `${got.status} ${got.statusText}\n`;
    await show(got, answer);
  } catch (error) {
    answer.textContent += ending.signal.aborted ? `\n${say("stopped")}` : `\n${error}`;
  }
  stop.hidden = true;
};
const show = async (got, answer) => {
  const type = got.headers.get("content-type") || "";
  if (!/json|text|^$/.test(type)) {
    answer.textContent += say("{0} bytes of {1}", (await got.blob()).size, type);
  } else if (/json/.test(type)) {
    const text = await got.text();
    answer.textContent += text.length < SHOWN ? JSON.stringify(JSON.parse(text), null, 2) : text.slice(0, SHOWN);
  } else if (got.body) {
    const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done && answer.textContent.length < SHOWN; ) answer.textContent += part.value;
    await reader.cancel();
  }
};
document.addEventListener("toggle", ({ target }) => {
  if (target.open && target.dataset.path && !target.querySelector("form")) build(target);
}, true);
