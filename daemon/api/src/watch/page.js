"use strict";
(() => {
  const main = document.querySelector("main");
  const words = JSON.parse(document.getElementById("words").textContent);
  const by = (id) => document.getElementById(id);
  const over = (status) => status === "succeeded" || status === "failed" || status === "cancelled";
  const line = (step) => main.querySelector('[data-step="' + step + '"]');
  const started = Date.parse(main.dataset.started);

  const length = (milliseconds) => {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds < 1) return "less than a second";
    return seconds < 60 ? seconds + " s" : Math.floor(seconds / 60) + " min " + (seconds % 60) + " s";
  };

  const showTimes = () => {
    const finished = main.dataset.finished && Date.parse(main.dataset.finished);
    by("elapsed").textContent = finished ? "took " + length(finished - started) : length(Date.now() - started) + " so far";
    const eta = main.dataset.eta ? Date.parse(main.dataset.eta) - Date.now() : NaN;
    by("eta").textContent = over(main.dataset.status) || Number.isNaN(eta) ? "" : "probably done in " + length(eta);
  };

  const showBar = () => {
    const done = main.querySelectorAll("li[data-status=succeeded], li[data-status=skipped]").length;
    by("bar").value = done;
    const all = by("bar").max;
    const heading = by("heading").textContent;
    document.title = over(main.dataset.status) ? heading : done + "/" + all + " · " + heading;
  };

  const showStep = (name, status) => {
    const item = line(name);
    if (!item) return;
    item.dataset.status = status;
    item.querySelector(".state").textContent = words.step[status];
    const part = item.querySelector(".part");
    if (part && status !== "running") part.remove();
  };

  const showCount = (name, count) => {
    const item = line(name);
    if (!item || count.expected === undefined) return;
    let part = item.querySelector(".part");
    if (!part) {
      part = document.createElement("progress");
      part.className = "part";
      item.append(part);
    }
    part.max = Math.max(1, count.expected);
    part.value = count.done;
  };

  const showStatus = (status) => {
    main.dataset.status = status;
    by("heading").textContent = words.heading[status];
    by("meaning").textContent = words.meaning[status];
    if (over(status)) {
      main.querySelectorAll("li[data-status=pending] .state").forEach((state) => { state.textContent = words.not_reached; });
    }
    by("links").hidden = status !== "succeeded" || !by("links").querySelector("a");
  };

  const read = {
    started: () => showStatus("running"),
    resumed: () => showStatus("running"),
    step_started: (event) => {
      showStep(event.step, "running");
      if (event.eta) main.dataset.eta = event.eta; else delete main.dataset.eta;
    },
    step_progress: (event) => showCount(event.step, event.progress),
    step_finished: (event) => showStep(event.step, event.step_status),
    cancel_requested: () => {},
    finished: (event) => {
      main.dataset.finished = event.at;
      showStatus(event.status);
    },
  };

  document.querySelectorAll("time").forEach((time) => {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "long", timeStyle: "short" });
  });
  showTimes();
  showBar();
  if (over(main.dataset.status)) return;

  const ticking = setInterval(showTimes, 1000);
  const stream = new EventSource(main.dataset.events + "?after=" + main.dataset.after);
  for (const [kind, show] of Object.entries(read)) {
    stream.addEventListener(kind, (message) => {
      by("connection").textContent = "";
      show(JSON.parse(message.data));
      showBar();
    });
  }
  // Old steps that were trimmed are in the page as the server sends it.
  stream.addEventListener("gap", () => location.reload());
  stream.addEventListener("end", (message) => {
    const ending = JSON.parse(message.data);
    stream.close();
    clearInterval(ticking);
    main.dataset.finished = ending.finished_at;
    showStatus(ending.status);
    showTimes();
    showBar();
  });
  stream.onopen = () => { by("connection").textContent = ""; };
  stream.onerror = () => {
    // A stream that the server refuses for good (an expired link) is not tried again by the browser.
    by("connection").textContent = stream.readyState === EventSource.CLOSED
      ? "This page is not updated any more. Load it anew to see how it stands."
      : "The connection was lost; trying again…";
  };
})();
