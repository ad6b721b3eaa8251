/* The sliders of a pipeline's page: they change speeds and rates, Pipeline plans it anew, and the page says so. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("replan-data").textContent);
  const form = document.getElementById("sliders"), said = document.getElementById("what-if-answer");
  const result = document.getElementById("what-if-result");
  const { percent, element, against, factors, scaled, grid, seconds } = Controls;
  const what = data.objective === "round" ? "A round" : "From one batch to the next";
  const inputs = {}, speeds = [];
  const slider = (name, label, now, unit) => Controls.slider(name, label, factors, scaled(now, unit), later);

  function build() {
    const one = data.entries.length === 1;
    const nodes = element("fieldset", {}, element("legend", { textContent: "Nodes" }));
    inputs.nodes = slider("nodes", one ? `Speed of ${data.entries[0].name}` : "Speed of all nodes", one ? data.entries[0].compute : null, "FLOP/s");
    nodes.append(inputs.nodes.row);
    if (data.rates !== null) {
      inputs.links = slider("links", "Links between nodes", data.rate, "bit/s");
      nodes.append(inputs.links.row);
    }
    if (!one) {
      data.entries.forEach((entry, e) => speeds.push(slider(`node-${e}`, `Speed of ${entry.name}`, entry.compute, "FLOP/s")));
      nodes.append(element("details", {}, element("summary", { textContent: "Each by itself" }), ...speeds.map(own => own.row)));
    }
    form.append(nodes);
    if (data.owners !== null) {
      const owners = element("fieldset", {}, element("legend", { textContent: "Owners" }));
      for (const [name, label] of [["uplink", "Uplink"], ["downlink", "Downlink"], ["owners", "Speed of all owners"]]) {
        inputs[name] = slider(name, label, null, "");
        owners.append(inputs[name].row);
      }
      form.append(owners);
    }
    form.append(element("button", { type: "reset", textContent: "Back to the plan" }));
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      for (const own of [...Object.values(inputs), ...speeds]) own.reset();
      plan();
    }));
    document.querySelector("#what-if .controls").hidden = false;
  }

  function change() {
    const made = { entries: data.entries.map((_, e) => (speeds[e] ? speeds[e].factor() : 1)) };
    for (const [name, own] of Object.entries(inputs)) made[name] = own.factor();
    return made;
  }

  let waiting = 0;
  function later() { clearTimeout(waiting); waiting = setTimeout(plan, 60); }

  function plan() {
    const asked = change(), pipe = Pipeline.changed(data, asked), found = Pipeline.solve(pipe);
    window.splitopt = { data, change: asked, found };  // for whoever looks at the page from outside
    if (found.outcome === "infeasible") {
      said.textContent = "No plan: no chain of the nodes holds all layers. That is certain.";
      said.className = "verdict bad";
      result.replaceChildren();
      return;
    }
    const better = data.value > 0 ? against(found.value / data.value) : "";
    said.className = "verdict";
    said.textContent = `${what}: ${seconds(found.value)}${better}. No plan with these cuts of the owners is better: that is proved.`;
    show(pipe, found);
  }

  const name = node => data.nodes[node];
  const run = stop => (stop.end - stop.start === 1 ? data.layers[stop.start] : `${data.layers[stop.start]} to ${data.layers[stop.end - 1]}`);

  function show(pipe, found) {
    const lines = [], kept = Pipeline.scored(pipe, Pipeline.runsOf(data.assignment));
    if (kept.value > found.value * (1 + 1e-9)) {
      const moved = Pipeline.assignment(found.stops).filter((node, at) => node !== data.assignment[at]).length;
      lines.push(element("p", { textContent: moved === 1 ? "One layer goes to another node." : `${moved} of ${data.layers.length} layers go to other nodes.` }),
        element("p", { textContent: `With the layers where the plan has them: ${seconds(kept.value)}.` }));
    } else if (Math.abs(found.value / data.value - 1) > 1e-9) {
      lines.push(element("p", { textContent: "Every layer stays where the plan has it; only times change." }));
    }
    const { node, face, link } = found.busiest || {};
    const busiest = link ? `the link between ${name(link[0])} and ${name(link[1])}` : face !== undefined ? `the network interface of ${name(face)}` : name(node);
    lines.push(element("p", { textContent: `A batch every ${seconds(found.period)}: ${busiest} is the busiest.` }),
      element("p", { className: "soft", textContent: `Proved floor: ${seconds(found.bound)}; found in ${found.passes} ${found.passes === 1 ? "pass" : "passes"} over all chains.` }));
    const body = found.stops.map(stop => [name(stop.node), run(stop), String(stop.end - stop.start), seconds(stop.forward), seconds(stop.backward), percent(stop.busy / found.period)]);
    const open = result.querySelector("details")?.open;
    const box = grid(["Node", "Layers", "of them", "forward", "backward", "busy %"], body, 2, "The new plan");
    lines.push(element("details", { open: open ?? true }, element("summary", { textContent: "The new plan, node by node" }), box));
    result.replaceChildren(...lines);
  }

  build();
  plan();
})();
