"use strict";
(() => {
  const main = document.querySelector("main");
  const words = JSON.parse(document.getElementById("words").textContent);
  const by = (id) => document.getElementById(id);
  const line = (step) => main.querySelector('[data-step="' + step + '"]');
  const lines = (...statuses) => [...main.querySelectorAll("[data-step]")].filter((li) => statuses.includes(li.dataset.status));
  const isOver = () => ["succeeded", "failed", "cancelled"].includes(main.dataset.status);
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  // The server's clock is the one that counts; the visitor's may be wrong.
  const ahead = Date.now() - Date.parse(main.dataset.now);
  const now = () => Date.now() - ahead;

  // Amounts, as amount.rs says them.

  const length = (milliseconds) => {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds < 1) return "less than a second";
    if (seconds < 60) return seconds + " s";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min " + (seconds % 60) + " s";
    return Math.floor(seconds / 3600) + " h " + Math.floor((seconds % 3600) / 60) + " min";
  };
  const count = ({ done, expected, unit }) => {
    const say = (amount) => (unit === "bytes" ? (amount / 1e6).toFixed(1) + " MB" : String(amount));
    return expected === undefined ? say(done) + " so far" : say(done) + " of " + say(expected);
  };
  const part = ({ done, expected }) => (expected > 0 ? Math.min(done / expected, 1) : undefined);

  // What is shown.

  const showTimes = () => {
    const started = Date.parse(main.dataset.started);
    const finished = Date.parse(main.dataset.finished);
    write(by("elapsed"), finished ? "took " + length(finished - started) : length(now() - started) + " so far");
    const eta = isOver() || "stopping" in main.dataset ? NaN : Date.parse(main.dataset.eta);
    if (Number.isNaN(eta)) return write(by("eta"), "");
    const clock = new Date(eta + ahead).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    write(by("eta"), eta < now() ? words.late : words.done_at + " " + clock);
  };

  const showBar = () => {
    const bar = by("bar");
    const done = lines("succeeded", "skipped", "missed").length;
    const running = main.querySelector(".part[value]");
    bar.value = done + (running ? running.value : 0);
    const said = done + " of " + bar.max + " steps done";
    bar.setAttribute("aria-valuetext", said);
    write(bar, said);
    const heading = by("heading").textContent;
    document.title = isOver() ? heading : done + "/" + bar.max + " · " + heading;
  };

  const showStep = (name, status) => {
    const item = line(name);
    if (!item) return;
    item.dataset.status = status;
    write(item.querySelector(".state"), words.step[status]);
    write(item.querySelector(".count"), "");
    item.querySelector(".part")?.remove();
    item.removeAttribute("aria-current");
    const what = item.querySelector(".what").textContent;
    if (status === "running") {
      item.setAttribute("aria-current", "step");
      const bar = document.createElement("progress");
      bar.className = "part";
      bar.max = 1;
      bar.setAttribute("aria-label", what);
      item.append(bar);
    }
    write(by("news"), what + ": " + words.step[status]);
  };

  const showCount = (name, progress) => {
    const item = line(name);
    // Putting things back counts too, after its step has failed.
    if (!item || !progress || item.dataset.status !== "running") return;
    write(item.querySelector(".count"), count(progress));
    const bar = item.querySelector(".part");
    if (part(progress) === undefined) bar.removeAttribute("value");
    else bar.value = part(progress);
  };

  const showStatus = (status) => {
    main.dataset.status = status;
    const begun = (step) => !step || (line(step) && line(step).dataset.status !== "pending");
    write(by("heading"), words.heading[status]);
    const meaning = words.meaning[status].find((meaning) => begun(meaning.begun)).text;
    write(by("meaning"), isOver() || !("stopping" in main.dataset) ? meaning : words.stopping);
    if (!isOver()) return;
    lines("pending").forEach((item) => write(item.querySelector(".state"), words.not_reached));
    by("links").hidden = status !== "succeeded" || !by("links").querySelector("li");
    write(by("news"), by("heading").textContent + ". " + by("meaning").textContent);
  };

  // What is told.

  const hear = {
    started: (event) => {
      main.dataset.started = event.at;
      showStatus("running");
    },
    resumed: () => {
      showStatus("running");
      lines("running").forEach((item) => showStep(item.dataset.step, "unknown"));
    },
    step_started: (event) => {
      showStep(event.step, "running");
      if (event.eta) main.dataset.eta = event.eta;
      else delete main.dataset.eta;
    },
    step_progress: (event) => showCount(event.step, event.progress),
    step_finished: (event) => showStep(event.step, event.step_status),
    cancel_requested: () => {
      main.dataset.stopping = "";
      showStatus(main.dataset.status);
    },
    finished: (event) => {
      main.dataset.finished = event.at;
      showStatus(event.status);
    },
  };

  const show = () => {
    showTimes();
    showBar();
  };

  document.querySelectorAll("time").forEach((time) => {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "long", timeStyle: "short" });
  });
  show();
  if (isOver()) return;
  const ticking = setInterval(showTimes, 1000);

  // Where it is told. The browser itself tries again where the network fails, but not where the answer is another than
  // the stream, as from a proxy whose server is just being started; then we do, after ever longer pauses.

  let seen = Number(main.dataset.after);
  let pause = 2000;

  const open = () => {
    const stream = new EventSource(main.dataset.events + "?after=" + seen);
    const found = () => {
      pause = 2000;
      write(by("connection"), "");
    };
    const leave = () => {
      stream.close();
      clearInterval(ticking);
      show();
    };
    stream.onopen = found;
    stream.onerror = () => {
      if (isOver()) return leave();
      if (now() > Date.parse(main.dataset.expires)) {
        leave();
        return write(by("connection"), words.ended);
      }
      write(by("connection"), words.lost);
      if (stream.readyState !== EventSource.CLOSED) return;
      setTimeout(open, pause);
      pause = Math.min(2 * pause, 30000);
    };
    for (const [kind, tell] of Object.entries(hear)) {
      stream.addEventListener(kind, (message) => {
        found();
        seen = Number(message.lastEventId) || seen;
        tell(JSON.parse(message.data));
        show();
      });
    }
    // Old events were trimmed; the page as the server sends it knows what they said.
    stream.addEventListener("gap", () => location.reload());
    stream.addEventListener("end", (message) => {
      const ending = JSON.parse(message.data);
      main.dataset.finished = ending.finished_at;
      showStatus(ending.status);
      leave();
    });
  };
  open();
})();
