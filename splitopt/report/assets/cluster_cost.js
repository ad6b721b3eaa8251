/* What clusters of devices cost at a cut, with the best subcarriers of their members.

A device with x subcarriers takes fixed + spectral / x seconds in the starting, the inner and the ending
phase, and a cluster takes as long as its slowest member in each. Subcarriers are shared as
splitopt.problems.cluster_and_spectrum.loops does it: two thresholds move monotonically, and a search by
halves goes over the levels that the inner phase can have. */
"use strict";

const ClusterCost = (() => {
  const MOST = 128;  // devices in a cluster

  /* The fleet of `data` with bandwidth, subcarriers, speeds and devices changed; what is not named stays.
  Devices of an entry are alike: a cluster is a list of entries. */
  function changed(data, change) {
    const band = change.bandwidth || 1, all = change.device || 1, server = change.server || 1;
    const C = change.subcarriers || data.subcarriers, size = data.groups.length, cuts = data.cuts.length;
    const count = data.groups.map((group, g) => Math.max(0, group.count - ((change.lost || [])[g] || 0)));
    const terms = [], served = [];
    for (let v = 0; v < cuts; v++) {
      terms.push(data.groups.map((_, g) => {
        const at = name => data[name][v][g], speed = all * ((change.devices || [])[g] || 1);
        const forward = at("forward") / speed, backward = at("backward") / speed;
        const sent = at("upload_smashed") / band, back = at("download_gradient") / band, model = at("upload_model") / band;
        return Float64Array.of(
          at("broadcast") / band * data.subcarriers / C + forward, sent,
          backward + forward, back + sent + at("upload_tied") / band,
          backward + (data.full_band ? model / C : 0), back + (data.full_band ? 0 : model));
      }));
      served.push(data.groups.map((_, g) => data.local_epochs * data.server[v][g] / server));
    }
    const here = count.flatMap((many, g) => (many > 0 ? [g] : []));
    const fits = (v, g) => data.allowed[v][g] === 1;
    let open = data.cuts.map((_, v) => v).filter(v => change.cut === undefined || change.cut === null || v === change.cut);
    if (!data.cut_per_cluster) open = open.filter(v => here.every(g => fits(v, g)));
    const left = count.reduce((a, b) => a + b, 0);
    return {
      size, count, left, terms, served, open, fits, C, inner: data.local_epochs - 1, each: data.cut_per_cluster,
      sizes: sizesFor(data.sizes, left), known: new Map(),
    };
  }

  /* Sizes of the clusters when devices are lost: the smallest clusters go first. */
  function sizesFor(sizes, left) {
    const found = sizes.slice().sort((a, b) => b - a);
    let over = found.reduce((a, b) => a + b, 0) - left;
    while (over > 0) {
      const last = found.length - 1, gone = Math.min(over, found[last]);
      found[last] -= gone; over -= gone;
      if (found[last] === 0) found.pop();
    }
    return found;
  }

  const rows = Array.from({ length: 6 }, () => new Float64Array(MOST));
  const [x, floor, best, trial, marked, ones] = Array.from({ length: 6 }, () => new Int32Array(MOST));

  function level(phase, size, share) {
    const fixed = rows[2 * phase], spectral = rows[2 * phase + 1];
    let top = 0;
    for (let k = 0; k < size; k++) {
      const value = fixed[k] + spectral[k] / share[k];
      if (value > top) top = value;
    }
    return top;
  }

  /* Lowers a phase to its next level, by all devices that hold it up; -1 where that cannot be. */
  function lower(phase, size, share, spare) {
    const fixed = rows[2 * phase], spectral = rows[2 * phase + 1], top = level(phase, size, share);
    let tied = 0;
    for (let k = 0; k < size; k++) {
      marked[k] = 0;
      if (fixed[k] + spectral[k] / share[k] === top) {
        if (spectral[k] === 0) return -1;
        marked[k] = 1; tied++;
      }
    }
    if (tied === 0 || tied > spare) return -1;
    for (let k = 0; k < size; k++) share[k] += marked[k];
    return spare - tied;
  }

  /* The least starting plus ending phase over shares of at least `least`, which come out in `best`; it is
  exact below `cutoff`, else a floor that is not below it. */
  function startAndEnd(size, least, C, cutoff) {
    const [a, b, , , c, d] = rows;
    let spare = C, lowest = 0, found = Infinity;
    for (let k = 0; k < size; k++) { spare -= least[k]; x[k] = floor[k] = least[k]; }
    if (spare < 0) return Infinity;
    for (let k = 0; k < size; k++) lowest = Math.max(lowest, a[k] + b[k] / (least[k] + spare));
    let floorSpare = spare;
    for (let next; (next = lower(2, size, x, spare)) >= 0;) spare = next;
    for (let k = 0; k < size; k++) best[k] = x[k];
    for (;;) {
      let start = 0, end = 0;
      for (let k = 0; k < size; k++) {
        start = Math.max(start, a[k] + b[k] / x[k]);
        end = Math.max(end, c[k] + d[k] / x[k]);
      }
      if (start + end < found) { found = start + end; for (let k = 0; k < size; k++) best[k] = x[k]; }
      if (lowest + end >= Math.min(found, cutoff)) return Math.min(found, lowest + end);
      for (let k = 0; k < size; k++) {
        while (a[k] + b[k] / floor[k] >= start) {
          floor[k]++; floorSpare--;
          if (floorSpare < 0 || b[k] === 0) return found;
        }
        if (floor[k] > x[k]) { spare -= floor[k] - x[k]; x[k] = floor[k]; }
      }
      while (spare < 0) {
        let next = Infinity;
        for (let k = 0; k < size; k++) if (x[k] > floor[k]) next = Math.min(next, c[k] + d[k] / (x[k] - 1));
        for (let k = 0; k < size; k++) if (x[k] > floor[k] && c[k] + d[k] / (x[k] - 1) <= next) { x[k]--; spare++; }
      }
    }
  }

  const worth = (size, share, inner) => level(0, size, share) + inner * (inner > 0 ? level(1, size, share) : 0) + level(2, size, share);

  /* Seconds without the server's of a cluster at cut v on C subcarriers; its shares, if asked for. */
  function alone(fleet, members, v, C, shares) {
    const size = members.length, terms = fleet.terms[v];
    for (let k = 0; k < size; k++) for (let t = 0; t < 6; t++) rows[t][k] = terms[members[k]][t];
    for (let k = 0; k < size; k++) ones[k] = 1;
    let found = fleet.inner > 0 ? withInner(fleet.inner, size, C) : startAndEnd(size, ones, C, Infinity);
    if (fleet.inner === 0 && found < Infinity) found = worth(size, best, 0);
    if (shares) for (let k = 0; k < size; k++) shares[k] = best[k];
    return found;
  }

  /* The same with inner phases: the levels that they can have, from the longest down, by halves. */
  function withInner(inner, size, C) {
    if (C < size) return Infinity;
    const levels = [], keep = new Int32Array(size), rest = [];
    trial.set(ones.subarray(0, size));
    for (let spare = C - size; spare >= 0; spare = lower(1, size, trial, spare)) levels.push({ needs: trial.slice(0, size), top: level(1, size, trial) });
    let found = Infinity;
    const solve = (at, cutoff) => {
      rest[at] = startAndEnd(size, levels[at].needs, C, cutoff);
      const value = worth(size, best, inner), reached = level(1, size, best);
      if (value < found) { found = value; keep.set(best.subarray(0, size)); }
      let far = at;  // the same answer is the best for these levels too
      while (far + 1 < levels.length && levels[far + 1].top >= reached) far++;
      rest[far] = rest[at];
      return far;
    };
    const last = levels.length, waiting = [[solve(0, Infinity), last]];
    while (waiting.length) {
      const [first, end] = waiting.pop();
      // levels between ask at least as much as `first`, and none has a shorter inner phase than the last
      if (end - first < 2 || inner * levels[end - 1].top + rest[first] >= found) continue;
      const middle = (first + end) >> 1, far = solve(middle, found - inner * levels[end - 1].top);
      waiting.push([first, middle], [far, end]);
    }
    best.set(keep);
    return found;
  }

  const server = (fleet, members, v) => members.reduce((sum, g) => sum + fleet.served[v][g], 0);

  /* Seconds of a cluster, a list of entries in rising order, at cut v; remembered. */
  function cost(fleet, members, v) {
    const key = `${v}:${members.join()}`, known = fleet.known.get(key);
    if (known !== undefined) return known.cost;
    const fine = members.every(g => fleet.fits(v, g));
    const found = fine ? alone(fleet, members, v, fleet.C, null) + server(fleet, members, v) : Infinity;
    fleet.known.set(key, { members, v, cost: found });
    return found;
  }

  /* What a page shows of a cluster: members, their shares, its phases with the server's part. */
  function shown(fleet, members, v) {
    const shares = [], own = members.slice().sort((a, b) => a - b), phase = server(fleet, own, v) / (fleet.inner + 1);
    const seconds = alone(fleet, own, v, fleet.C, shares) + server(fleet, own, v);
    const phases = [0, 1, 2].map(p => (p === 1 && fleet.inner === 0 ? 0 : level(p, own.length, shares) + (p < 2 ? phase : 0)));
    const slowest = [0, 1, 2].map(p => own[own.findIndex((_, k) => rows[2 * p][k] + rows[2 * p + 1][k] / shares[k] === level(p, own.length, shares))]);
    return { members: own, cut: v, shares, phases, slowest, seconds };
  }

  return { changed, alone, cost, shown, MOST };
})();
if (typeof module !== "undefined") module.exports = ClusterCost;
