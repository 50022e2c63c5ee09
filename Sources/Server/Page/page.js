"use strict";
// Draws what the server says of itself, twice a second, and chats with it. Nothing is asked of anybody else.

const $ = (id) => document.getElementById(id);
const SPAN = 60; // seconds that the charts show
const history = []; // statuses of the last minute: {time, rate, prefill, queued, running, kv}
let last = null; // the latest status
let lastAt = 0;
let built = ""; // the plan that is drawn

// MARK: words and shapes

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function shape(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function short(value) {
  if (!Number.isFinite(value)) return "-";
  if (value >= 1e6) return short(value / 1e6) + "M";
  if (value >= 1e4) return short(value / 1e3) + "k";
  return String(Number(value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)));
}

function time(ms) {
  if (ms === null || ms === undefined) return "-";
  if (ms === 0) return "0";
  if (ms >= 1000) return short(ms / 1000) + " s";
  return ms >= 1 ? short(ms) + " ms" : short(ms * 1000) + " \u00b5s";
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return short(count) + " " + units[unit];
}

/// A round number at or above `most`.
function roof(most) {
  if (!(most > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= most * 0.999) * unit;
}

const median = (values) => values.length ? [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] : NaN;

// MARK: the pipeline

function buildPipeline(plan) {
  const key = JSON.stringify(plan);
  if (key === built) return;
  built = key;
  const box = $("pipeline");
  box.replaceChildren();
  if (!plan) return;
  box.append(make("div", "end", "prompt"), wire("short"));
  plan.stages.forEach((stage, index) => {
    if (index > 0) box.append(handoffWire(plan.handoffs));
    const column = make("div", "replicas");
    stage.replicas.forEach((replica, number) => column.append(stageBox(stage, replica, number)));
    box.append(column);
  });
  box.append(wire("short"), make("div", "end", "tokens"));
}

function wire(kind) {
  const element = make("div", "wire " + kind);
  const svg = shape("svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(shape("path", { d: "M2 9H90" }), shape("polygon", { points: "88,3 99,9 88,15" }));
  element.append(svg);
  return element;
}

function handoffWire(handoffs) {
  const element = wire("handoff");
  element.id = "handoff";
  element.prepend(make("span", "", "KV handoff"));
  const count = make("b", "", "");
  count.id = "handoff-count";
  element.append(count);
  for (const handoff of handoffs) {
    const how = make("span", "", handoff.conversion);
    how.title = handoff.from + " to " + handoff.to;
    element.append(how);
  }
  return element;
}

/// One replica of a stage.
function stageBox(stage, replica, number) {
  const kind = stage.name === "prefill" ? "prefill" : "decode";
  const box = make("div", "stage " + kind);
  box.dataset.stage = stage.name;
  const place = stage.replicas.length > 1 ? ` ${number + 1} of ${stage.replicas.length}` : "";
  const head = make("h3", "", stage.name.replace("+", " and ") + place);
  const light = make("span", "light");
  light.setAttribute("aria-hidden", "true");
  head.append(light);
  box.append(head);
  for (const device of replica.devices) {
    const part = make("div", "device");
    part.dataset.device = device.name;
    const name = make("div");
    name.append(make("b", "", device.name), " ", device.driver + (device.engine === "model" ? ", device model" : ""));
    if (replica.devices.length > 1) name.append(", layers " + device.layers);
    const meter = make("div", "meter");
    meter.append(make("i"));
    const busy = make("span", "figures wall", "idle");
    part.append(name, meter, busy);
    if (device.clock === "modelled") part.append(make("span", "figures modelled", ""));
    box.append(part);
  }
  return box;
}

function drawPipeline(status, before, seconds) {
  for (const part of document.querySelectorAll(".device")) {
    const now = status.busy.find((busy) => busy.device === part.dataset.device);
    const then = before && before.busy.find((busy) => busy.device === part.dataset.device);
    const share = now && then && seconds > 0 ? Math.min(1, (now.wall_ms - then.wall_ms) / 1000 / seconds) : 0;
    part.querySelector("i").style.width = (share * 100).toFixed(0) + "%";
    part.querySelector(".figures.wall").textContent = now ? `${(share * 100).toFixed(0)} % busy, ${time(now.wall_ms)} in all, measured` : "no batch yet";
    const modelled = part.querySelector(".figures.modelled");
    if (modelled) modelled.textContent = now && now.modelled_ms != null ? `${time(now.modelled_ms)} in all, modelled` : "nothing modelled yet";
  }
  for (const box of document.querySelectorAll(".stage")) {
    const names = [...box.querySelectorAll(".device")].map((part) => part.dataset.device);
    const batches = (from) => from.busy.filter((busy) => names.includes(busy.device)).reduce((sum, busy) => sum + busy.batches, 0);
    box.classList.toggle("active", Boolean(before) && batches(status) > batches(before));
  }
  const handoff = $("handoff");
  if (handoff) {
    const counters = status.counters;
    handoff.classList.toggle("active", Boolean(before) && counters.handoffs > before.counters.handoffs);
    $("handoff-count").textContent = counters.handoffs ? `${counters.handoffs} \u00d7, ${bytes(counters.handoff_bytes)}` : "none yet";
    if (counters.handoffs_aborted) $("handoff-count").textContent += `, ${counters.handoffs_aborted} aborted`;
  }
  const counters = status.counters;
  const latest = [...status.requests].reverse().find((request) => request.reason);
  $("routes").textContent = (status.plan ? `Routing ${status.plan.routing}: ${counters.disaggregated} disaggregated, ${counters.aggregated} aggregated. ` : "")
    + (latest ? `The latest went ${latest.route}: ${latest.reason}.` : "");
}

// MARK: charts

/// Lines over the last minute. `series`: {values: [[time, value]], style, dots}.
function chart(svg, series, unit, least = 0) {
  const [width, height, left, floor, high] = [svg.clientWidth || 300, 92, 46, 80, 8];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const now = history.length ? history[history.length - 1].time : 0;
  const most = roof(Math.max(least, 1e-9, ...series.flatMap((one) => one.values.map((pair) => pair[1]))));
  const x = (at) => left + (1 - Math.min(1, (now - at) / SPAN)) * (width - left - 4);
  const y = (value) => floor - value / most * (floor - high);
  const parts = [0, 0.5, 1].flatMap((share) => [
    shape("line", { x1: left, x2: width, y1: y(most * share), y2: y(most * share), class: "grid" }),
    shape("text", { x: left - 6, y: y(most * share) + 4, "text-anchor": "end" }, unit(most * share)),
  ]);
  for (const one of series) {
    const points = one.values.filter((pair) => now - pair[0] <= SPAN).map((pair) => [x(pair[0]), y(pair[1])]);
    if (one.dots) {
      for (const point of points) parts.push(shape("circle", { cx: point[0], cy: point[1], r: 3, class: "dot " + one.style }));
    } else if (points.length > 1) {
      const text = points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ");
      parts.push(shape("polygon", { points: `${points[0][0]},${floor} ${text} ${points[points.length - 1][0]},${floor}`, class: "area " + one.style }));
      parts.push(shape("polyline", { points: text, class: "line " + one.style }));
    }
  }
  svg.replaceChildren(...parts);
}

/// Each entry's rates are over the two seconds before it, so that single batches do not make them jump.
function remember(status, isNew) {
  if (isNew) history.length = 0;
  const at = status.now_ms / 1000;
  const counters = status.counters;
  const then = history.find((entry) => at - entry.time <= 2.1);
  const rate = (name) => then && at > then.time ? Math.max(0, counters[name] - then.counters[name]) / (at - then.time) : 0;
  history.push({
    time: at, counters, rate: rate("decode_tokens"), prefill: rate("prefill_tokens"), queued: status.queued, running: status.running,
    kv: status.kv.map((kv) => kv.total ? kv.used / kv.total : 0),
  });
  while (history.length && at - history[0].time > SPAN + 2) history.shift();
}

/// A caption's figures, each with the colour of its line.
function caption(id, parts) {
  $(id).replaceChildren(...parts.map(([style, text]) => make("span", "mark " + style, text)));
}

function drawCharts(status) {
  const now = history[history.length - 1];
  const line = (name) => history.map((entry) => [entry.time, entry[name]]);
  chart($("rate"), [{ values: line("prefill"), style: "prefill" }, { values: line("rate"), style: "decode" }], short, 10);
  caption("rate-now", [["decode", short(now.rate) + " decode"], ["prefill", short(now.prefill) + " prefill"]]);
  const firsts = status.requests.filter((request) => request.wall.first_ms != null && request.state !== "failed");
  chart($("ttft"), [{ values: firsts.map((request) => [(request.arrived_ms + request.wall.first_ms) / 1000, request.wall.first_ms]), style: "prefill", dots: true }], time, 10);
  $("ttft-now").textContent = firsts.length ? `median ${time(median(firsts.map((request) => request.wall.first_ms)))}` : "";
  chart($("queue"), [{ values: line("running"), style: "decode" }, { values: line("queued"), style: "queued" }], short, 2);
  caption("queue-now", [["decode", status.running + " running"], ["queued", status.queued + " waiting"]]);
  // Pools of the same kind of stage are told apart by their dashes.
  const alike = (index) => status.kv.slice(0, index).filter((kv) => kv.stage === status.kv[index].stage).length;
  const style = (index) => `${status.kv[index].stage === "prefill" ? "prefill" : "decode"} dash-${Math.min(alike(index), 2)}`;
  const name = (kv) => status.kv.filter((other) => other.stage === kv.stage).length > 1 ? `${kv.stage} ${kv.device}` : kv.stage;
  chart($("kv"), status.kv.map((kv, index) => ({
    values: history.map((entry) => [entry.time, (entry.kv[index] || 0) * 100]), style: style(index),
  })), (value) => short(value) + " %", 10);
  caption("kv-now", status.kv.map((kv, index) => [style(index), `${name(kv)} ${kv.used} of ${kv.total}`]));
}

// MARK: requests

const ROWS = 12;

function words(request) {
  const made = request.completion_tokens != null ? `, ${request.completion_tokens} out` : "";
  return `${request.prompt_tokens} in${made}`;
}

/// Bars of some rows on one axis from 0. `rows`: {label, note, bars: [[from, to, style, thin]]}.
function bars(box, rows, label) {
  const width = box.clientWidth || 600;
  const [left, right, step, top] = [width < 500 ? 88 : 130, width < 500 ? 58 : 76, 20, 4];
  const most = roof(Math.max(1e-6, ...rows.flatMap((row) => row.bars.map((bar) => bar[1]))));
  const x = (ms) => left + ms / most * (width - left - right);
  const height = top + rows.length * step + 22;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  for (const share of width < 500 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(shape("line", { x1: x(most * share), x2: x(most * share), y1: top, y2: height - 20, class: "grid" }));
    svg.append(shape("text", { x: x(most * share), y: height - 6, "text-anchor": "middle" }, time(most * share)));
  }
  rows.forEach((row, index) => {
    const y = top + index * step;
    svg.append(shape("text", { x: left - 8, y: y + 13, "text-anchor": "end" }, row.label));
    for (const [from, to, style, thin] of row.bars) {
      const bar = shape("rect", { x: x(from), y: thin ? y + 13 : y + 3, width: Math.max(1, x(to) - x(from)), height: thin ? 3 : 13, rx: 1.5, class: "bar " + style });
      bar.append(shape("title", {}, row.title));
      svg.append(bar);
    }
    const end = Math.max(0, ...row.bars.map((bar) => bar[1]));
    svg.append(shape("text", { x: x(end) + 6, y: y + 13 }, row.note));
  });
  box.replaceChildren(svg);
}

function measuredRow(request, now) {
  const wall = request.wall;
  const end = wall.total_ms ?? now - request.arrived_ms;
  const open = wall.total_ms == null ? " open" : "";
  const queued = Math.min(wall.queued_ms ?? end, end);
  const prefillEnd = Math.min(wall.prefill_end_ms ?? wall.first_ms ?? end, end);
  const first = Math.min(wall.first_ms ?? end, end);
  const parts = [[0, queued, "queued" + open], [queued, prefillEnd, "prefill" + open], [prefillEnd, first, "handoff" + open], [first, end, "decode" + open]];
  const list = parts.filter((part) => part[1] > part[0]);
  if (wall.handoff_hidden_ms > 0 && wall.prefill_end_ms != null) list.push([Math.max(queued, prefillEnd - wall.handoff_hidden_ms), prefillEnd, "handoff", true]);
  if (request.state === "failed") list.push([Math.max(0, end * 0.97), end, "failed"]);
  const title = `request ${request.id}: ${request.state}${request.route ? ", " + request.route : ""}; queue ${time(queued)}, `
    + `first token ${time(wall.first_ms)}${wall.handoff_hidden_ms != null ? ", handoff hidden " + time(wall.handoff_hidden_ms) : ""}, in all ${time(end)}`;
  return { label: words(request), note: time(end), bars: list, title };
}

function modelledRow(request) {
  const { prefill_ms: prefill, handoff_ms: handoff, decode_ms: decode } = request.modelled;
  const end = prefill + handoff + decode;
  const list = [[0, prefill, "prefill"], [prefill, prefill + handoff, "handoff"], [prefill + handoff, end, "decode"]].filter((part) => part[1] > part[0]);
  return { label: words(request), note: time(end), bars: list, title: `request ${request.id}, modelled: prefill ${time(prefill)}, exposed handoff ${time(handoff)}, decode ${time(decode)}` };
}

function drawRequests(status) {
  const latest = status.requests.slice(-ROWS).reverse();
  if (!latest.length) return;
  bars($("measured"), latest.map((request) => measuredRow(request, status.now_ms)), "Measured times of the latest requests, newest first");
  const modelled = status.requests.filter((request) => request.modelled).slice(-ROWS).reverse();
  $("modelled-part").hidden = !modelled.length;
  if (modelled.length) bars($("modelled"), modelled.map(modelledRow), "Modelled times of the latest requests, newest first");
}

// MARK: the connection

function state(name, text, notice) {
  const badge = $("state");
  if (badge.dataset.state !== name || badge.textContent !== text) {
    badge.dataset.state = name;
    badge.textContent = text;
  }
  const box = $("notice");
  box.hidden = !notice;
  if (notice && box.textContent !== notice) box.textContent = notice;
}

const key = () => sessionStorage.getItem("baton-key") || "";
const headers = () => key() ? { authorization: "Bearer " + key() } : {};

function show(status) {
  status.kv.sort((a, b) => (b.stage === "prefill") - (a.stage === "prefill"));
  document.body.classList.remove("bare");
  const seconds = last ? (status.now_ms - last.now_ms) / 1000 : 0;
  const before = last && status.uptime_ms >= last.uptime_ms ? last : null;
  $("model").textContent = `${status.model}, context of ${status.context} tokens, up ${time(status.uptime_ms)}`;
  state(status.draining ? "draining" : "live", status.draining ? "going down" : status.running ? "running" : "idle");
  if (!status.draining) $("state").dataset.state = "live";
  buildPipeline(status.plan);
  remember(status, !before);
  drawPipeline(status, before, seconds);
  drawCharts(status);
  drawRequests(status);
  last = status;
  lastAt = performance.now();
}

/// Calls `take` with the payload of each server-sent event of a response.
async function readEvents(response, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      if (event.startsWith("data: ")) take(event.slice(6));
    }
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let watching = null;

async function watch() {
  for (;;) {
    watching = new AbortController();
    try {
      const response = await fetch("/baton/events", { headers: headers(), signal: watching.signal, cache: "no-store" });
      if (response.status === 401 || response.status === 403) {
        const body = await response.json().catch(() => ({}));
        state("refused", "key needed", key() && body.error ? body.error : "This server wants an API key; give one above.");
        document.body.classList.toggle("bare", !last);
        $("key").placeholder = "needed";
        await waitForKey();
        continue;
      }
      if (!response.ok) throw new Error("status " + response.status);
      await readEvents(response, (data) => { if (data !== "[DONE]") show(JSON.parse(data)); });
    } catch (error) {
      if (watching.renewed) continue;
    }
    for (const element of document.querySelectorAll(".active")) element.classList.remove("active");
    state("lost", "connection lost", last ? "The server does not answer. What is shown is from before; trying again." : "The server does not answer; trying again.");
    await pause(1500);
  }
}

let keyGiven = () => {};
const waitForKey = () => new Promise((resolve) => { keyGiven = resolve; });

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("baton-key", $("key").value.trim());
  if (watching) { watching.renewed = true; watching.abort(); }
  keyGiven();
});

// MARK: the chat

const messages = [];
let asking = null;

function turn(who, text) {
  const box = make("div", "turn " + who);
  box.append(make("span", "who", who === "user" ? "You" : "Model"));
  const said = make("span", "words", text);
  box.append(said);
  $("talk").querySelector(".empty")?.remove();
  $("talk").append(box);
  $("talk").scrollTop = $("talk").scrollHeight;
  return { box, said };
}

async function ask(text) {
  const asked = { role: "user", content: text };
  messages.push(asked);
  turn("user", text);
  const { box, said } = turn("assistant", "");
  asking = new AbortController();
  $("send").disabled = true;
  $("stop").disabled = false;
  const began = performance.now();
  let [first, count, answer, usage] = [null, 0, "", null];
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", signal: asking.signal, headers: { "content-type": "application/json", ...headers() },
      body: JSON.stringify({ model: last ? last.model : "", messages, stream: true, max_tokens: 256, stream_options: { include_usage: true } }),
    });
    if (!response.ok) throw new Error((await response.json().catch(() => null))?.error?.message || "status " + response.status);
    await readEvents(response, (data) => {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      usage = chunk.usage || usage;
      const piece = chunk.choices?.[0]?.delta?.content;
      if (!piece) return;
      if (first === null) first = performance.now() - began;
      count += 1;
      answer += piece;
      said.append(piece);
      $("talk").scrollTop = $("talk").scrollHeight;
    });
  } catch (error) {
    if (error.name !== "AbortError") {
      box.classList.add("failed");
      said.append((answer ? "\n" : "") + error.message);
    }
  }
  // A question without an answer is not part of the conversation; after Clear there is none.
  if (messages.includes(asked)) {
    if (answer) messages.push({ role: "assistant", content: answer });
    else messages.splice(messages.indexOf(asked), 1);
  }
  const tokens = usage ? usage.completion_tokens : count;
  const seconds = (performance.now() - began) / 1000;
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  if (first !== null) {
    box.append(make("span", "facts", `${tokens} tokens, first after ${time(first)}, ${short(tokens / seconds)} tok/s${cached ? `, ${cached} prompt tokens cached` : ""}`));
  }
  asking = null;
  $("send").disabled = false;
  $("stop").disabled = true;
  $("talk").scrollTop = $("talk").scrollHeight;
}

$("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("prompt").value.trim();
  if (!text || asking) return;
  $("prompt").value = "";
  ask(text);
});
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("chat-form").requestSubmit();
  }
});
$("stop").addEventListener("click", () => asking?.abort());
$("clear").addEventListener("click", () => {
  asking?.abort();
  messages.length = 0;
  $("talk").replaceChildren(make("p", "empty", "Ask the model something. The answer comes as it is made."));
});
addEventListener("resize", () => { if (last && history.length) { drawCharts(last); drawRequests(last); } });
$("key").value = key();
watch();
