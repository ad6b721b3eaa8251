/* Plans a changed pipeline anew, to its optimum: which node hosts which run of layers.

A round rises with the trip of a batch over nodes and links and with the period, the seconds of the
busiest node or link; the best plan is on the frontier of the two. At a cap on the period the shortest
trip is found by dynamic programming over sets of nodes, the last node and the layers that are done: a
chain's trip is the sum of its stops, whatever came before. From each point of the frontier the cap
goes below its period, until no shorter period can make up for the trip. */
"use strict";

const Pipeline = (() => {
  const CERTAIN = 1e-11;  // sums are trusted to this part of their size
  const SLACK = 1e-12;    // a period that is shorter by less is the same

  const sums = (row, factor) => {
    const found = new Float64Array(row.length + 1);
    row.forEach((value, i) => { found[i + 1] = found[i] + value / factor; });
    return found;
  };

  /* The pipeline of `data` with speeds and rates changed by factors; what is not named is 1. */
  function changed(data, change) {
    const nodes = data.nodes.length, size = data.layers.length, by = (change.entries || []);
    const speed = n => (change.nodes || 1) * (by[data.entry[n]] || 1);
    const link = change.links || 1, up = change.uplink || 1, down = change.downlink || 1, owner = change.owners || 1;
    const kinds = [...new Set(data.kinds)].map(kind => data.kinds.flatMap((own, n) => (own === kind ? [n] : [])));
    const pipe = {
      size, nodes, kinds, all: data.all, ordered: data.ordered, half: data.half, data,
      forward: data.forward.map((row, n) => sums(row, speed(n))),
      backward: data.backward.map((row, n) => sums(row, speed(n))),
      memory: sums(data.memory, 1), capacity: data.capacity.map(own => (own === null ? Infinity : own)),
      rate: (a, b) => (data.rates === null ? Infinity : data.rates[a][b] * link),
      face: data.interfaces === null ? null : data.interfaces.map(rate => rate * link),
      round: null,
    };
    if (data.owners !== null) {
      const own = data.owners, batches = own.count.map((count, g) => count * own.batches[g]);
      const all = batches.reduce((a, b) => a + b, 0), many = own.count.reduce((a, b) => a + b, 0);
      const ways = { to_first: up, to_last: up, from_first: down, from_last: down };
      const part = (name, g) => own[name][g] / ways[name];
      const taken = names => own.count.reduce((sum, _, g) => sum + (part(names[0], g) + part(names[1], g)) * batches[g], 0) / all;
      const channel = own.shared ? Math.max(taken(["to_first", "to_last"]), taken(["from_last", "from_first"])) : 0;
      /* What owners add to a trip: the slower of their link and of the interface at that end counts. */
      const added = (first, last) => own.compute.map((s, g) => {
        const face = (bytes, node) => (pipe.face === null ? 0 : moved(bytes, pipe.face[node]));
        return s / owner + own.delay
          + Math.max(part("to_first", g), face(data.up[0], first)) + Math.max(part("from_first", g), face(data.down[0], first))
          + Math.max(part("from_last", g), face(data.up[size], last)) + Math.max(part("to_last", g), face(data.down[size], last));
      });
      pipe.round = {
        added, count: own.count, batches: own.batches, all, many, channel,
        rest: own.model_up / up + own.model_down / down + own.model_rest,
      };
    }
    return pipe;
  }

  /* The objective of a trip over nodes and links from `first` to `last`, and of their period. */
  function worth(pipe, trip, period, first, last) {
    const round = pipe.round;
    if (round === null) return period;
    const trips = round.added(first, last).map(own => own + trip), rate = Math.max(period, round.channel);
    const mean = trips.reduce((sum, one, g) => sum + one * round.count[g], 0) / round.many;
    const alone = Math.max(...trips.map((one, g) => one * round.batches[g]));
    return Math.max(mean + (round.all - 1) * rate, alone) + round.rest;
  }

  const moved = (bytes, rate) => (bytes > 0 ? (rate > 0 ? bytes / rate : Infinity) : 0);

  /* Seconds of a hop behind layer `at`: what it adds to the trip, and how long the link is busy. */
  function hop(pipe, a, b, at) {
    const up = moved(pipe.data.up[at], pipe.rate(a, b)), down = moved(pipe.data.down[at], pipe.rate(b, a));
    return { trip: up + down + pipe.data.delays[a][b] + pipe.data.delays[b][a], busy: pipe.face !== null ? 0 : pipe.half ? up + down : Math.max(up, down) };
  }

  /* Seconds of a run on a node: what it computes, and how long the node and its interface are busy. */
  function stop(pipe, node, start, end) {
    const forward = pipe.forward[node][end] - pipe.forward[node][start], backward = pipe.backward[node][end] - pipe.backward[node][start];
    const compute = forward + backward;
    if (pipe.face === null) return { forward, backward, compute, busy: compute };
    const { up, down } = pipe.data, received = up[start] + down[end], sent = up[end] + down[start];
    const face = moved(pipe.half ? received + sent : Math.max(received, sent), pipe.face[node]);
    return { forward, backward, compute, busy: pipe.data.serial ? compute + face : Math.max(compute, face), face };
  }

  /* One pass: the chain of least trip whose busiest resource is at most `cap`, or, with `widest`, the
  least period of all chains; `ends` are the kinds of its first and last node, null for any. Returns
  the value and the runs, null where there is none. */
  function pass(pipe, cap, widest, ends) {
    const { kinds, size } = pipe, counts = kinds.map(kind => kind.length), width = size + 1;
    const steps = []; let sets = 1;
    counts.forEach(count => { steps.push(sets); sets *= count + 1; });
    const row = new Array(sets * kinds.length).fill(null);
    const used = (set, k) => Math.floor(set / steps[k]) % (counts[k] + 1);
    let best = { value: Infinity, set: -1, last: -1 };
    const extend = (before, k, target, first) => {  // puts a run on a node of kind k behind what is done
      const node = kinds[k][!first && before.last === k ? 1 : 0], room = pipe.capacity[node];
      const own = row[target * kinds.length + k] || (row[target * kinds.length + k] =
        { cost: new Float64Array(width).fill(Infinity), from: new Int32Array(width).fill(-1), last: new Int32Array(width).fill(-1) });
      for (let start = first ? 0 : 1; start <= (first ? 0 : size - 1); start++) {
        const done = first ? 0 : before.row.cost[start];
        if (!(done < Infinity)) continue;
        const over = first ? { trip: 0, busy: 0 } : hop(pipe, kinds[before.last][0], node, start);
        if (!(over.trip < Infinity) || over.busy > cap) continue;
        for (let end = start + 1; end <= size; end++) {
          if (pipe.memory[end] - pipe.memory[start] > room) break;
          const load = stop(pipe, node, start, end);
          if (load.compute > cap) break;
          if (load.busy > cap) continue;  // a longer run may send less
          const cost = widest ? Math.max(done, over.busy, load.busy) : done + over.trip + load.compute;
          if (cost < own.cost[end]) { own.cost[end] = cost; own.from[end] = start; own.last[end] = first ? -1 : before.last; }
        }
      }
    };
    for (let k = 0; k < kinds.length; k++) if (ends === null || k === ends[0]) extend(null, k, steps[k], true);
    for (let set = 1; set < sets; set++) {
      for (let last = 0; last < kinds.length; last++) {
        const held = row[set * kinds.length + last];
        if (held === null) continue;
        if ((!pipe.all || set === sets - 1) && (ends === null || last === ends[1]) && held.cost[size] < best.value) best = { value: held.cost[size], set, last };
        for (let k = 0; k < kinds.length; k++) {
          if (used(set, k) === counts[k] || (pipe.ordered && k < last)) continue;
          extend({ row: held, last }, k, set + steps[k], false);
        }
      }
    }
    if (best.set < 0) return null;
    const runs = [];
    for (let { set, last } = best, end = size; end > 0;) {
      const held = row[set * kinds.length + last], start = held.from[end], before = held.last[end];
      runs.unshift({ kind: last, start, end });
      set -= steps[last]; last = before; end = start;
    }
    return { value: best.value, runs: named(pipe, runs) };
  }

  /* Runs with a node each: of alike nodes those that come first in the pipeline's own list. */
  function named(pipe, runs) {
    const next = pipe.kinds.map(() => 0);
    return runs.map(run => ({ ...run, node: pipe.kinds[run.kind][next[run.kind]++] }));
  }

  /* What a chain comes to: trip, period, what is busiest, and the objective. */
  function scored(pipe, runs) {
    let trip = 0, period = 0, busiest = null;
    const busy = (seconds, what) => { if (seconds > period) { period = seconds; busiest = what; } };
    const stops = runs.map((run, i) => {
      const own = stop(pipe, run.node, run.start, run.end);
      trip += own.compute;
      busy(own.busy, own.face >= own.compute ? { face: run.node } : { node: run.node });
      if (i) {
        const over = hop(pipe, runs[i - 1].node, run.node, run.start);
        trip += over.trip;
        busy(over.busy, { link: [runs[i - 1].node, run.node] });
      }
      return { ...run, ...own };
    });
    return { stops, trip, period, busiest, value: worth(pipe, trip, period, runs[0].node, runs[runs.length - 1].node) };
  }

  /* Runs of an assignment of layers to nodes. */
  function runsOf(assignment) {
    const runs = [];
    assignment.forEach((node, at) => {
      if (at && runs[runs.length - 1].node === node) runs[runs.length - 1].end = at + 1;
      else runs.push({ node, start: at, end: at + 1 });
    });
    return runs;
  }

  const holds = (pipe, runs) => runs.every(run => pipe.memory[run.end] - pipe.memory[run.start] <= pipe.capacity[run.node]);

  /* Kinds of the first and the last node: what owners add depends on both where nodes have interfaces. */
  function allEnds(pipe) {
    if (pipe.face === null) return [null];
    return pipe.kinds.flatMap((first, f) => pipe.kinds.flatMap((last, l) => (f === l && first.length === 1 && pipe.nodes > 1 && pipe.all ? [] : [[f, l]])));
  }

  /* The best chain of a changed pipeline; its floor is its value less what sums may be off by. */
  function solve(pipe) {
    const least = pass(pipe, Infinity, true, null);
    if (least === null) return { outcome: "infeasible" };
    let best = scored(pipe, least.runs), passes = 1;
    for (const ends of pipe.round === null ? [] : allEnds(pipe)) {
      for (let cap = Infinity; ;) {
        const found = pass(pipe, cap, false, ends);
        passes++;
        if (found === null) break;
        const one = scored(pipe, found.runs), first = found.runs[0].node, last = found.runs[found.runs.length - 1].node;
        if (one.value < best.value) best = one;
        cap = one.period * (1 - SLACK);
        if (worth(pipe, one.trip, least.value, first, last) >= best.value * (1 - CERTAIN) || !(cap > 0)) break;
      }
    }
    return { outcome: "optimal", value: best.value, bound: best.value * (1 - CERTAIN), passes, ...best };
  }

  const assignment = stops => stops.flatMap(stop => Array(stop.end - stop.start).fill(stop.node));

  return { changed, solve, scored, runsOf, holds, assignment };
})();
if (typeof module !== "undefined") module.exports = Pipeline;
