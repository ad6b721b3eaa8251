/* What the sliders of all pages have alike: how numbers are written, and what a slider is. */
"use strict";
const Controls = (() => {
  /* ---- how numbers are written, as splitopt.report.numbers has it ---- */
  const digits = x => {
    const size = Math.abs(x);
    if (size === 0) return "0";
    if (size >= 1e7 || size < 1e-4) return x.toExponential(3);
    const places = size >= 1e4 ? 0 : size >= 100 ? 1 : size >= 1 ? 3 : Math.max(0, 3 - Math.floor(Math.log10(size)));
    return x.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  };
  const seconds = (x, unit = "s") => {
    for (const [name, size] of [["years", 31536000], ["days", 86400], ["h", 3600], ["min", 60]]) {
      if (unit === "s" && x >= 2 * size) return `${digits(x)} s (${(x / size).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} ${name})`;
    }
    return `${digits(x)} ${unit}`;
  };
  const upwards = x => {  // a gap is never written smaller than it is
    const place = 10 ** (Math.floor(Math.log10(x * 100)) - 1);
    return Number((Math.ceil(x * 100 / place) * place).toPrecision(2));
  };
  const percent = x => Number((100 * x).toPrecision(3)).toString();
  const speed = (x, name) => {
    const [step, prefix] = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([size]) => x >= size) || [1, ""];
    return `${Number((x / step).toPrecision(4))} ${prefix}${name}`;
  };

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const against = ratio => {
    if (Math.abs(ratio - 1) < 1e-9) return ", as planned";
    return ratio < 1 ? `, ${percent(1 - ratio)} % less than planned` : `, ${percent(ratio - 1)} % more than planned`;
  };

  /* ---- sliders ---- */
  function slider(name, label, { min, max, step, value }, written, moved) {
    const input = element("input", { type: "range", id: `slide-${name}`, min, max, step, value });
    const output = element("output", { htmlFor: input.id });
    const show = () => { output.textContent = written(Number(input.value)); input.setAttribute("aria-valuetext", output.textContent); };
    input.addEventListener("input", () => { show(); moved(); });
    input.defaultValue = value;
    show();
    const row = element("div", { className: "slide" }, element("label", { htmlFor: input.id, textContent: label }), input, output);
    return { input, row, show, factor: () => 10 ** Number(input.value), reset() { input.value = value; show(); } };
  }
  const factors = { min: -1, max: 1, step: 0.02, value: 0 };  // of powers of ten
  const scaled = (now, name) => exponent => {
    const factor = 10 ** exponent, times = `${Number(factor.toPrecision(3))} times`;
    return now === null ? (exponent ? times : "as planned") : exponent ? `${speed(now * factor, name)}, ${times}` : `${speed(now, name)}, as planned`;
  };

  /* A table in a box that scrolls; the first `texts` columns are texts. */
  function grid(heads, body, texts, label) {
    const cells = (row, tag) => row.map((cell, k) => element(tag, { className: k < texts ? "text" : "", textContent: cell, ...(tag === "th" ? { scope: "col" } : {}) }));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...cells(heads, "th"))),
      element("tbody", {}, ...body.map(row => element("tr", {}, ...cells(row, "td")))));
    const box = element("div", { className: "scroll", tabIndex: 0 }, table);
    box.setAttribute("role", "group"); box.setAttribute("aria-label", label);
    return box;
  }

  return { digits, seconds, upwards, percent, speed, element, against, slider, factors, scaled, grid };
})();
