/* The sliders of a plan's page: they change the fleet, Replan plans it anew, and the page says so. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("replan-data").textContent);
  const form = document.getElementById("sliders"), said = document.getElementById("what-if-answer");
  const result = document.getElementById("what-if-result");
  const unit = data.objective === "latency_energy" ? "s (energy counted in)" : "s";
  const weighted = data.groups.some(group => group.priority !== 1);
  const what = weighted ? "The objective, by priority"
    : { sum: "All devices together", makespan: "A round", latency_energy: "The objective" }[data.objective];
  const one = data.groups.length === 1, total = data.groups.reduce((sum, group) => sum + group.count, 0);
  const inputs = {}, speeds = [], lost = [];

  const { upwards, percent, element, against, factors, scaled, grid } = Controls;
  const time = x => Controls.seconds(x, unit);
  const slider = (name, label, places, written) => Controls.slider(name, label, places, written, later);

  /* ---- sliders ---- */
  function build() {
    const uses = name => data[name].some((row, g) => data.groups[g].count && row.some(x => x > 0));
    const shared = element("fieldset", {}, element("legend", { textContent: data.shared_links ? "Shared by all devices" : "Links of every device, and the server" }));
    for (const [name, table, label, kind] of [["downlink", "download", "Downlink", "bit/s"], ["uplink", "upload", "Uplink", "bit/s"], ["server", "server", "Server speed", "FLOP/s"]]) {
      if (!uses(table)) continue;
      inputs[name] = slider(name, label, factors, scaled(data.rates[name], kind));
      shared.append(inputs[name].row);
    }
    if (data.leakage !== null && data.leakage_limit !== null) {
      const all = [...data.leakage, data.leakage_limit], top = Math.max(...all), bottom = Math.min(...all);
      const step = Math.max(1e-6, (top - bottom) / 200);
      const places = { min: bottom, max: bottom + 200 * step + step, step: "any", value: data.leakage_limit };
      inputs.leakage = slider("leakage", "Leakage limit", places, x => x.toFixed(3) + (x === data.leakage_limit ? ", as planned" : ""));
      inputs.leakage.input.step = step;
      inputs.leakage.input.min = data.leakage_limit - step * Math.ceil((data.leakage_limit - bottom) / step);
      inputs.leakage.reset();
      shared.append(inputs.leakage.row);
    }
    form.append(shared);
    const devices = element("fieldset", {}, element("legend", { textContent: "Devices" }));
    inputs.device = slider("device", one ? `Speed of ${data.groups[0].name}` : "Speed of all devices", factors, scaled(one ? data.groups[0].compute : null, "FLOP/s"));
    devices.append(inputs.device.row);
    const rows = data.groups.map((group, g) => {
      speeds.push(one ? null : slider(`device-${g}`, "Speed", factors, scaled(group.compute, "FLOP/s")));
      const label = `${group.name}${group.count > 1 ? ` (${group.count.toLocaleString("en")})` : ""}`;
      const number = element("input", { type: "number", min: 0, max: group.count, step: 1, value: 0, id: `lost-${g}` });
      number.addEventListener("input", later);
      lost.push(number);
      return element("div", { className: "group" }, element("strong", { textContent: label }), ...(one ? [] : [speeds[g].row]),
        element("div", { className: "slide" }, element("label", { htmlFor: number.id, textContent: `Lost, of ${group.count.toLocaleString("en")}` }), number));
    });
    devices.append(element("details", {}, element("summary", { textContent: one ? "Lose devices" : "Each by itself, and devices that are lost" }), ...rows));
    form.append(devices, element("button", { type: "reset", textContent: "Back to the plan" }));
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      for (const slide of [...Object.values(inputs), ...speeds]) if (slide) slide.reset();
      plan();
    }));
    document.querySelector("#what-if .controls").hidden = false;
  }

  const missing = g => Math.min(data.groups[g].count, Math.max(0, Math.round(Number(lost[g].value) || 0)));
  function change() {
    const all = inputs.device.factor();
    const made = { devices: data.groups.map((_, g) => all * (speeds[g] ? speeds[g].factor() : 1)), lost: lost.map((_, g) => missing(g)) };
    for (const name of ["downlink", "uplink", "server"]) made[name] = inputs[name] ? inputs[name].factor() : 1;
    if (inputs.leakage) made.leakage = Number(inputs.leakage.input.value);
    return made;
  }

  /* ---- what comes of it ---- */
  let waiting = 0;
  function later() { clearTimeout(waiting); waiting = setTimeout(plan, 60); }

  function plan() {
    const asked = change(), fleet = Replan.changed(data, asked), found = Replan.solve(fleet, data.counts);
    window.splitopt = { data, change: asked, found };  // for whoever looks at the page from outside
    if (found.outcome === "infeasible" || found.outcome === "no_solution") {
      const names = (found.stuck || []).slice(0, 5).map(g => data.groups[g].name).join(", ");
      said.textContent = {
        cuts: `No plan: no cut is allowed for ${names}${(found.stuck || []).length > 5 ? ", ..." : ""}; raise the limit. That is certain.`,
        devices: "No plan: no device is left.",
        memory: `No plan: the ${data.budget && data.budget.name} is too small for this fleet, whatever the cuts. That is certain.`,
      }[found.why] || "No plan was found that keeps the memory; whether there is one is not known.";
      said.className = "verdict bad";
      result.replaceChildren();
      return;
    }
    const better = data.value === null || data.value === 0 ? "" : against(found.value / data.value);
    const proof = found.outcome === "optimal" ? "No plan is better: that is proved."
      : `No plan is better by more than ${upwards(found.gap)} %: that is proved.`;
    said.className = "verdict";
    said.textContent = `${what}: ${time(found.value)}${better}. ${proof}`;
    show(fleet, found);
  }

  function show(fleet, found) {
    const parts = Replan.parts(fleet, found.counts), moved = data.counts === null ? [] : moves(found.counts);
    const lines = [];
    if (moved.length) {
      const shown = moved.slice(0, 12).map(move => element("li", { textContent: move }));
      if (moved.length > 12) shown.push(element("li", { textContent: `and ${moved.length - 12} more` }));
      lines.push(element("p", { textContent: `${moved.length === 1 ? "One cut changes" : `${moved.length} cuts change`}:` }), element("ul", {}, ...shown));
    } else if (data.counts !== null && Math.abs(found.value / data.value - 1) > 1e-9) {
      lines.push(element("p", { textContent: "Every device keeps its cut; only shares and times change." }));
    }
    const kept = keep(fleet);
    if (moved.length && kept !== null) lines.push(element("p", { textContent: `With the cuts of the plan, and shares as they are best now: ${time(kept)}.` }));
    lines.push(element("p", { className: "soft", textContent:
      `Proved floor: ${time(found.bound)}; found in ${found.passes} ${found.passes === 1 ? "pass" : "passes"} of prices.` }));
    const heads = ["Device", "Cut", "Down %", "Up %", "Serv %", "Round"];
    const body = parts.slice(0, 200).map(part => [
      data.groups[part.group].name + (part.devices > 1 ? ` (${part.devices.toLocaleString("en")})` : ""), data.cuts[part.cut],
      ...part.share.map((share, r) => (r < 2 && !data.shared_links ? "own" : percent(share * part.devices))), time(part.round)]);
    const open = result.querySelector("details")?.open;
    const box = grid(heads, body, 2, "The new plan");
    lines.push(element("details", { open: Boolean(open) }, element("summary", { textContent: "The new plan, device by device" }), box));
    result.replaceChildren(...lines);
  }

  /* Which devices change from which cut to which, in words. */
  function moves(counts) {
    const found = [];
    data.counts.forEach((before, g) => {
      const from = [], to = [];
      before.forEach((many, l) => {
        const less = many - counts[g][l];
        if (less > 0) from.push([l, less]); else if (less < 0) to.push([l, -less]);
      });
      while (to.length && from.length) {
        const many = Math.min(from[0][1], to[0][1]);
        const number = data.groups[g].count === 1 ? "" : ` (${many.toLocaleString("en")})`;
        found.push(`${data.groups[g].name}${number}: ${data.cuts[from[0][0]]} to ${data.cuts[to[0][0]]}`);
        for (const list of [from, to]) { list[0][1] -= many; if (list[0][1] <= 0) list.shift(); }
      }
    });
    return found;
  }

  /* What the cuts of the plan come to now; null where they are not allowed any more. */
  function keep(fleet) {
    if (data.counts === null || lost.some((_, g) => missing(g))) return null;
    const allowed = data.counts.every((row, g) => row.every((many, l) => !many || fleet.groups[g].own[l] < Infinity));
    return allowed ? Replan.value(fleet, data.counts) : null;
  }

  build();
  plan();
})();
