/* The sliders of a page about clusters: they change the fleet, Clusters plans it anew, and the page says so. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("replan-data").textContent);
  const form = document.getElementById("sliders"), said = document.getElementById("what-if-answer");
  const result = document.getElementById("what-if-result");
  const { upwards, percent, element, against, factors, scaled, grid, seconds } = Controls;
  const one = data.groups.length === 1, inputs = {}, speeds = [], lost = [];
  let choice = null;
  const slider = (name, label, places, written) => Controls.slider(name, label, places, written, later);
  const part = (title, ...children) => element("fieldset", {}, element("legend", { textContent: title }), ...children);

  /* ---- sliders ---- */
  function build() {
    const label = data.bandwidth === null ? "Rate of a subcarrier" : "Bandwidth of a subcarrier";
    inputs.bandwidth = slider("bandwidth", label, factors, scaled(data.bandwidth, "Hz"));
    const places = { min: Math.max(...data.sizes), max: 4 * data.subcarriers, step: 1, value: data.subcarriers };
    inputs.subcarriers = slider("subcarriers", "Subcarriers", places, x => `${x.toLocaleString("en")}${x === data.subcarriers ? ", as planned" : ""}`);
    inputs.server = slider("server", "Server speed", factors, scaled(data.server_speed, "FLOP/s"));
    const shared = part("Shared by all devices", inputs.bandwidth.row, inputs.subcarriers.row, inputs.server.row);
    if (data.cuts.length > 1) {
      choice = element("select", { id: "slide-cut" }, element("option", { value: "", textContent: "the best" }),
        ...data.cuts.map((name, v) => element("option", { value: String(v), textContent: name })));
      choice.addEventListener("input", later);
      shared.append(element("div", { className: "slide" }, element("label", { htmlFor: choice.id, textContent: "Cut" }), choice));
    }
    inputs.device = slider("device", one ? `Speed of ${data.groups[0].name}` : "Speed of all devices", factors, scaled(one ? data.groups[0].compute : null, "FLOP/s"));
    const rows = data.groups.map((group, g) => {
      speeds.push(one ? null : slider(`device-${g}`, "Speed", factors, scaled(group.compute, "FLOP/s")));
      const number = element("input", { type: "number", min: 0, max: group.count, step: 1, value: 0, id: `lost-${g}` });
      number.addEventListener("input", later);
      lost.push(number);
      const losing = element("div", { className: "slide" }, element("label", { htmlFor: number.id, textContent: `Lost, of ${group.count.toLocaleString("en")}` }), number);
      const name = `${group.name}${group.count > 1 ? ` (${group.count.toLocaleString("en")})` : ""}`;
      return element("div", { className: "group" }, element("strong", { textContent: name }), ...(one ? [] : [speeds[g].row]), ...(data.can_lose ? [losing] : []));
    });
    const title = one ? "Lose devices" : `Each by itself${data.can_lose ? ", and devices that are lost" : ""}`;
    const devices = part("Devices", inputs.device.row);
    if (!one || data.can_lose) devices.append(element("details", {}, element("summary", { textContent: title }), ...rows));
    form.append(shared, devices, element("button", { type: "reset", textContent: "Back to the plan" }));
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      for (const own of [...Object.values(inputs), ...speeds]) if (own) own.reset();
      later();
    }));
    document.querySelector("#what-if .controls").hidden = false;
  }

  const missing = g => Math.min(data.groups[g].count, Math.max(0, Math.round(Number(lost[g].value) || 0)));
  function change() {
    return {
      bandwidth: inputs.bandwidth.factor(), subcarriers: Number(inputs.subcarriers.input.value), server: inputs.server.factor(),
      device: inputs.device.factor(), devices: speeds.map(own => (own ? own.factor() : 1)), lost: lost.map((_, g) => missing(g)),
      cut: choice && choice.value !== "" ? Number(choice.value) : null,
    };
  }

  /* ---- what comes of it: a first answer at once, better ones while nothing moves ---- */
  let waiting = 0;
  function later() { clearTimeout(waiting); waiting = setTimeout(plan, 60); }

  function plan() {
    const asked = change(), fleet = Clusters.changed(data, asked), search = Clusters.steps(fleet, data.clusters);
    window.splitopt = { data, change: asked, found: null, done: false };  // for whoever looks at the page from outside
    const go = () => {
      const until = performance.now() + 40;
      do {
        const step = search.next();
        if (step.value) say(fleet, asked, step.value, step.done);
        if (step.done) return;
      } while (performance.now() < until);
      waiting = setTimeout(go, 0);
    };
    go();
  }

  function say(fleet, asked, found, done) {
    Object.assign(window.splitopt, { found, done });
    if (found.outcome === "infeasible" || found.outcome === "no_solution") {
      const names = (found.stuck || []).slice(0, 5).map(g => data.groups[g].name).join(", ");
      said.textContent = {
        devices: "No plan: no device is left.",
        subcarriers: `No plan: a cluster of ${found.size} devices needs as many subcarriers. That is certain.`,
        cuts: `No plan: no cut is allowed for ${names || "all devices"}; raise the limit. That is certain.`,
      }[found.why] || "No plan was found; whether there is one is not known.";
      said.className = "verdict bad";
      result.replaceChildren();
      return;
    }
    const better = data.value > 0 ? against(found.value / data.value) : "", held = asked.cut === null ? "" : " at this cut";
    const proof = found.outcome === "optimal" ? `No plan${held} is better: that is proved.`
      : `No plan${held} is better by more than ${upwards(found.gap)} %: that is proved${done ? "" : " so far"}.`;
    said.className = "verdict";
    said.textContent = `A round: ${seconds(found.value)}${better}. ${proof}`;
    show(fleet, found, done);
  }

  /* Names of members, alike ones once: "near (3), far". */
  function named(members) {
    const many = new Map();
    for (const g of members) many.set(g, (many.get(g) || 0) + 1);
    return [...many].map(([g, own]) => data.groups[g].name + (own > 1 ? ` (${own})` : "")).join(", ");
  }

  function show(fleet, found, done) {
    const lines = [], same = key => JSON.stringify(key.map(members => members.slice().sort((a, b) => a - b).join()).sort());
    const before = Math.min(...found.kept.map(one => one.value)), whole = fleet.sizes.length === data.sizes.length && fleet.left === data.clusters.flat().length;
    if (whole && same(found.clusters.map(own => own.members)) === same(data.clusters)) {
      if (Math.abs(found.value / data.value - 1) > 1e-9) lines.push(element("p", { textContent: "The clusters stay as the plan has them; only cuts, subcarriers and times change." }));
    } else if (before > found.value * (1 + 1e-9)) {
      lines.push(element("p", { textContent: `Other devices train together. With the clusters of the plan${whole ? "" : ", filled up where devices are lost"}: ${seconds(before)}.` }));
    }
    lines.push(element("p", { className: "soft", textContent: `Proved floor: ${seconds(found.bound)}; ${found.looked.toLocaleString("en")} clusters looked at${done ? "" : ", and more while you read"}.` }));
    const phases = ["starting", ...(fleet.inner > 0 ? ["inner"] : []), "ending"], places = fleet.inner > 0 ? [0, 1, 2] : [0, 2];
    const body = found.clusters.map(own => [named(own.members), data.cuts[own.cut], own.shares.join(", "),
      [...new Set(places.map(p => data.groups[own.slowest[p]].name))].join(", "), ...places.map(p => seconds(own.phases[p])), seconds(own.seconds)]);
    const table = (name, title, box, open) => {
      const was = result.querySelector(`details.${name}`)?.open;
      return element("details", { className: name, open: was ?? open }, element("summary", { textContent: title }), box);
    };
    lines.push(table("clusters", "The new plan, cluster by cluster", grid(["Devices", "Cut after", "Subcarriers", "Held up by", ...phases, "seconds"], body, 4, "The new plan"), true));
    if (found.kept.length > 1) {
      const cuts = found.kept.map(one => [data.cuts[one.cut], seconds(one.value), percent(one.value / found.value)]);
      lines.push(table("cuts", "The clusters of the plan at each cut", grid(["Cut after", "A round", "% of the new plan"], cuts, 1, "Cuts"), false));
    }
    result.replaceChildren(...lines);
  }

  build();
  plan();
})();
