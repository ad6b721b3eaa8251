/* Zooms Gantt charts: buttons, arrow keys on the chart, and the wheel with Ctrl held. */
"use strict";
for (const chart of document.querySelectorAll(".gantt")) {
  const whole = [Number(chart.dataset.from), Number(chart.dataset.to)];
  let [from, to] = whole;
  const units = [["years", 31536000], ["days", 86400], ["h", 3600], ["min", 60]];
  const written = (time, step) => {
    const [unit, size] = units.find(([, one]) => whole[1] >= 2 * one) || ["s", 1];
    const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / size)) + 1));
    return `${(time / size).toFixed(digits)} ${unit}`;
  };
  const show = () => {
    const width = whole[1] - whole[0], left = 1000 * (from - whole[0]) / width;
    for (const lane of chart.querySelectorAll(".lane svg")) {
      lane.setAttribute("viewBox", `${left} 0 ${1000 * (to - from) / width} 10`);
    }
    chart.querySelectorAll(".axis span").forEach((tick, k, all) => {
      const step = (to - from) / (all.length - 1);
      tick.textContent = written(from + k * step, step);
    });
  };
  const look = (start, width) => {
    width = Math.min(width, whole[1] - whole[0]);
    from = Math.min(Math.max(start, whole[0]), whole[1] - width);
    to = from + width;
    show();
  };
  const scale = (factor, middle = (from + to) / 2) => look(middle - (middle - from) * factor, (to - from) * factor);
  const moves = {
    "Zoom in": () => scale(0.5), "Zoom out": () => scale(2),
    "Earlier": () => look(from - (to - from) / 4, to - from), "Later": () => look(from + (to - from) / 4, to - from),
    "Whole": () => look(whole[0], whole[1] - whole[0]),
  };
  const tools = document.createElement("div");
  tools.className = "tools";
  for (const [name, move] of Object.entries(moves)) {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = name;
    button.addEventListener("click", move);
    tools.append(button);
  }
  chart.prepend(tools);
  const keys = { "+": "Zoom in", "=": "Zoom in", "-": "Zoom out", ArrowLeft: "Earlier", ArrowRight: "Later", 0: "Whole" };
  const holder = chart.closest("[tabindex]") || chart;
  holder.addEventListener("keydown", event => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    moves[keys[event.key]]();
    event.preventDefault();
  });
  chart.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    const box = chart.querySelector(".lane svg").getBoundingClientRect();
    const at = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    scale(event.deltaY > 0 ? 1.25 : 0.8, from + at * (to - from));
    event.preventDefault();
  }, { passive: false });
}
