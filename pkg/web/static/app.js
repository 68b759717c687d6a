// The page works without this. With it, what the page shows follows the daemon, and the
// list of devices is searched as one types. What comes is HTML that the daemon has made
// and escaped, of this host only.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const $ = id => document.getElementById(id);

  // Times in words, as words.go says them.
  const many = (n, one, more) => n < 2 ? one : `${Math.floor(n)} ${more}`;
  function ago(seconds) {
    if (seconds < 60) return "just now";
    if (seconds < 3600) return many(seconds / 60, "a minute", "minutes") + " ago";
    if (seconds < 86400) return many(seconds / 3600, "an hour", "hours") + " ago";
    return many(seconds / 86400, "a day", "days") + " ago";
  }
  function left(seconds) {
    if (seconds <= 0) return "no longer";
    if (seconds <= 60) return "less than a minute";
    if (seconds < 3600) return `${Math.ceil(seconds / 60)} minutes`;
    return many(seconds / 3600, "an hour", "hours");
  }
  // skew is how far this clock is behind the daemon's, in milliseconds.
  let skew = 0;
  function tellTimes(root) {
    for (const t of root.querySelectorAll("time[data-ago], time[data-left]")) {
      const s = (Date.parse(t.dateTime) - Date.now() - skew) / 1000;
      const words = "left" in t.dataset ? left(s) : ago(-s);
      if (t.textContent !== words) t.textContent = words;
    }
  }
  setInterval(() => tellTimes(document), 10000);

  // patch makes a node like another one. What is the same is not touched: the focus, what
  // is being typed and what is unfolded stay.
  function patch(was, is) {
    if (was.nodeType !== is.nodeType || was.nodeName !== is.nodeName || (was.id || "") !== (is.id || "")) {
      was.replaceWith(is);
      return;
    }
    if (was.nodeType !== Node.ELEMENT_NODE) {
      if (was.data !== is.data) was.data = is.data;
      return;
    }
    for (const a of [...was.attributes]) {
      if (!is.hasAttribute(a.name) && !(a.name === "open" || a.name === "hidden")) was.removeAttribute(a.name);
    }
    for (const a of is.attributes) {
      if (was.getAttribute(a.name) !== a.value) was.setAttribute(a.name, a.value);
    }
    const old = [...was.childNodes], fresh = [...is.childNodes];
    fresh.forEach((n, i) => i < old.length ? patch(old[i], n) : was.append(n));
    old.slice(fresh.length).forEach(n => n.remove());
  }
  function parse(html) {
    const t = document.createElement("template");
    t.innerHTML = html;
    tellTimes(t.content);
    return t.content;
  }

  // The list of devices.
  const list = $("devices"), search = document.querySelector("[data-filter]");
  function choose(li) {
    const q = search ? search.value.trim().toLowerCase() : "";
    const hide = q !== "" && !li.textContent.toLowerCase().includes(q) && !li.id.toLowerCase().includes(q);
    if (li.hidden !== hide) li.hidden = hide;
  }
  function tellNone() {
    const none = $("none");
    if (list && none) none.hidden = [...list.children].some(li => !li.hidden);
  }
  if (search) search.addEventListener("input", () => { [...list.children].forEach(choose); tellNone(); });
  function insert(li) {
    const next = [...list.children].find(o => o.dataset.sort > li.dataset.sort);
    list.insertBefore(li, next || null);
  }
  function takeRows(data) {
    if (!list) { location.reload(); return; } // it was empty
    const keep = new Set();
    for (const row of data.rows || []) {
      const fresh = parse(row.html).firstElementChild, was = $(fresh.id);
      keep.add(fresh.id);
      if (!was) insert(fresh);
      else {
        const moved = was.dataset.sort !== fresh.dataset.sort;
        patch(was, fresh);
        if (moved) insert(was);
      }
      choose($(fresh.id));
    }
    for (const id of data.gone || []) $("d-" + id)?.remove();
    if (data.whole) for (const li of [...list.children]) if (!keep.has(li.id)) li.remove();
    patchText($("sum"), data.sum);
    tellNone();
  }
  function patchText(node, html) {
    const text = parse(html).textContent;
    if (node && node.textContent !== text) node.textContent = text;
  }

  // The log.
  const log = $("log"), pause = $("pause"), maxLines = 500;
  let held = [];
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      const on = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", on);
      pause.textContent = on ? "Go on" : "Pause";
      if (!on) { held.forEach(takeLines); held = []; }
    });
  }
  function takeLines(html) {
    for (const li of [...parse(html).children]) if (!$(li.id)) log.prepend(li);
    while (log.children.length > maxLines) log.lastElementChild.remove();
    $("none").hidden = true;
  }

  // The stream.
  const live = document.body.dataset.live, offline = $("offline");
  function tellOffline(on) {
    if (offline.hidden !== on) return;
    offline.textContent = on ? "No connection to the bridge. What you see may be old." : "";
    offline.hidden = !on;
  }
  let source, last = "";
  function follow() {
    const url = new URL(live, location.href);
    if (last) url.searchParams.set("since", last);
    source = new EventSource(url);
    source.addEventListener("hello", e => {
      skew = Date.parse(e.data) - Date.now();
      tellOffline(false);
      tellTimes(document);
    });
    source.addEventListener("body", e => patch($("body"), parse(e.data).firstElementChild));
    source.addEventListener("rows", e => { last = e.lastEventId; takeRows(JSON.parse(e.data)); });
    source.addEventListener("lines", e => {
      last = e.lastEventId;
      if (pause.getAttribute("aria-pressed") === "true") held = [...held, e.data].slice(-maxLines);
      else takeLines(e.data);
    });
    source.addEventListener("gone", () => location.assign("/devices"));
    source.onerror = () => {
      tellOffline(true);
      if (source.readyState === EventSource.CLOSED && document.visibilityState !== "hidden") setTimeout(again, 3000);
    };
  }
  // again asks why there is no stream: the session may have ended.
  async function again() {
    try {
      const answer = await fetch("/login", { redirect: "manual" });
      if (answer.type !== "opaqueredirect" && answer.ok) { location.reload(); return; }
    } catch { /* still no connection */ }
    source.close();
    look();
  }
  // A page that nobody sees does not follow: browsers have few connections to a host, for
  // all of its pages together.
  function look() {
    if (!live) return;
    if (document.visibilityState === "hidden") source?.close();
    else if (!source || source.readyState === EventSource.CLOSED) follow();
  }
  look();
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", e => { if (e.persisted) look(); });

  // Forms that need no button.
  for (const s of document.querySelectorAll("[data-auto]")) s.addEventListener("change", () => s.form.requestSubmit());
  document.querySelector("[data-submit]")?.requestSubmit();
  tellTimes(document);
})();
