/* Plans a changed fleet in clusters anew (see cluster_cost.js), with a floor that is proved.

Plans are found by swaps between clusters, annealed from a fixed seed. The floor is a price for every
device: whatever the prices y, a plan costs at least the sum of all prices and, for each of its clusters,
the least of cost less prices that a cluster of that size can have. Prices come from a linear program over
the clusters that were looked at (column generation), the least from a search that goes through all. */
"use strict";

const Clusters = ((costs) => {
  const { cost, alone } = costs;
  const CERTAIN = 1e-11;      // sums are trusted to this part of their size
  const GOAL = 1e-9;          // a smaller gap is none
  const SWAPS = 30000, NEW = 8000;      // of the annealing of one cut, and clusters that it looks at first
  const NEAR = 1.03;          // cuts that are so much slower are not annealed to the end
  const NODES = 250000;       // of all searches for the least cluster
  const SLACKS = [0.06, 0.02, 0.005, 0.001, 0];  // parts of a plan that a proof may lose, one after the other
  const TURNS = 6, ROUNDS = 12;         // of looking around before a search, and of searches for one slack
  const FEW = 3000, LOOKS = 60000;      // different clusters where all partitions are tried out, and tries
  const PIVOTS = 4e7;         // numbers that all pivots may touch
  const rising = (a, b) => a - b;

  function random(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /* The cut of least cost for a cluster among `cuts`. */
  function least(fleet, members, cuts) {
    const found = { cost: Infinity, v: cuts[0] };
    for (const v of cuts) {
      const own = cost(fleet, members, v);
      if (own < found.cost) { found.cost = own; found.v = v; }
    }
    return found;
  }

  /* What clusters cost at the best of `cuts`, each its own. */
  const total = (fleet, clusters, cuts) => clusters.reduce((sum, members) => sum + least(fleet, members, cuts).cost, 0);

  /* Clusters of the right sizes from those of a plan, when devices are lost and clusters shrink. */
  function fitted(fleet, clusters) {
    const count = fleet.count.slice();
    const kept = clusters.map(members => members.filter(g => count[g]-- > 0)).sort((a, b) => b.length - a.length);
    const found = fleet.sizes.map((size, m) => kept[m].splice(0, size)), spare = kept.flat();
    fleet.sizes.forEach((size, m) => { while (found[m].length < size) found[m].push(spare.pop()); });
    return found.map(members => members.sort(rising));
  }

  /* Clusters of devices that are alike fast at a cut. */
  function sorted(fleet, v) {
    const slow = g => fleet.terms[v][g][0] + fleet.terms[v][g][4] + (fleet.terms[v][g][1] + fleet.terms[v][g][5]) * fleet.sizes[0] / fleet.C;
    const all = fleet.count.flatMap((many, g) => Array(many).fill(g)).sort((a, b) => slow(b) - slow(a));
    return fleet.sizes.map(size => all.splice(0, size).sort(rising));
  }

  /* Anneals swaps of two devices of different clusters, at the best of `cuts`; a generator, so that a page
  can show something in between, as are all below that take long. */
  function* anneal(fleet, clusters, cuts, part) {
    const draw = random(1), swaps = SWAPS * part, fresh = NEW * part * cuts.length, pick = many => Math.floor(draw() * many);
    let own = clusters.map(members => members.slice()), costs = own.map(members => least(fleet, members, cuts).cost);
    const sum = () => costs.reduce((a, b) => a + b, 0);
    let best = { clusters: own.map(members => members.slice()), value: sum() }, value = best.value;
    if (own.length < 2 || fleet.size < 2) return best;
    const from = 0.02 * value / own.length, to = 1e-4 * from, most = fleet.known.size + fresh;
    for (let swap = 0; swap < swaps && fleet.known.size < most; swap++) {
      if (swap % 1000 === 999) yield null;
      const i = pick(own.length), j = (i + 1 + pick(own.length - 1)) % own.length;
      const a = pick(own[i].length), b = pick(own[j].length);
      if (own[i][a] === own[j][b]) continue;
      const first = own[i].slice(), second = own[j].slice();
      first[a] = own[j][b]; second[b] = own[i][a];
      first.sort(rising); second.sort(rising);
      const one = least(fleet, first, cuts).cost, other = least(fleet, second, cuts).cost;
      const more = one + other - costs[i] - costs[j], heat = from * (to / from) ** Math.max(swap / swaps, 1 - (most - fleet.known.size) / fresh);
      if (!(more <= 0 || draw() < Math.exp(-more / heat))) continue;
      own[i] = first; own[j] = second; costs[i] = one; costs[j] = other; value += more;
      if (value < best.value * (1 - 1e-12)) best = { clusters: own.map(members => members.slice()), value };
    }
    return { clusters: best.clusters, value: total(fleet, best.clusters, cuts) };
  }

  /* Prices by a linear program over the clusters that are known: the simplex method, its inverse kept.
  Rows are entries, then sizes; the program of one call goes on in the next. */
  class Prices {
    constructor(fleet, cuts) {
      this.fleet = fleet; this.cuts = new Set(cuts);
      this.sizes = [...new Set(fleet.sizes)];
      this.rows = fleet.size + this.sizes.length;
      this.right = Float64Array.from([...fleet.count, ...this.sizes.map(size => fleet.sizes.filter(own => own === size).length)]);
      this.values = this.right.slice();
      const n = this.rows;
      this.inverse = Array.from({ length: n }, (_, i) => { const row = new Float64Array(n); row[i] = 1; return row; });
      this.columns = []; this.seen = 0; this.work = 0;
    }
    read() {  // clusters that have become known
      const n = this.fleet.size;
      let place = 0;
      for (const { members, v, cost: own } of this.fleet.known.values()) {
        if (place++ < this.seen) continue;
        const size = this.sizes.indexOf(members.length);
        if (this.cuts.has(v) && size >= 0 && own < Infinity) this.columns.push({ rows: [...members, n + size], cost: own, v });
      }
      this.seen = place;
    }
    solve(high) {
      const n = this.rows;
      if (this.basis === undefined) this.basis = Array.from({ length: n }, () => null);
      this.read();
      let few = [];  // what was cheapest when all were gone through
      for (let turn = 0; turn < 60 * n; turn++) {
        const y = this.prices(high), low = -1e-10 * high / n;
        let enter = this.lowest(few, y, low);
        if (enter === null) {
          few = this.columns.filter(column => this.reduced(column, y) < low);
          if (few.length > 200) few = few.map(column => [this.reduced(column, y), column]).sort((a, b) => a[0] - b[0]).slice(0, 200).map(one => one[1]);
          enter = this.lowest(few, y, low);
        }
        if (enter === null || (this.work += n * n) > PIVOTS) return y;
        const along = this.inverse.map(row => enter.rows.reduce((sum, r) => sum + row[r], 0));
        let leave = -1, step = Infinity;
        for (let i = 0; i < n; i++) {
          if (!(along[i] > 1e-9)) continue;
          const ratio = Math.max(0, this.values[i]) / along[i];
          if (ratio < step - 1e-12 || (ratio < step + 1e-12 && along[i] > along[leave])) { step = ratio; leave = i; }
        }
        if (leave < 0) return y;
        const pivot = this.inverse[leave], by = along[leave];
        for (let k = 0; k < n; k++) pivot[k] /= by;
        for (let i = 0; i < n; i++) {
          if (i === leave || along[i] === 0) continue;
          const row = this.inverse[i];
          for (let k = 0; k < n; k++) row[k] -= along[i] * pivot[k];
          this.values[i] -= step * along[i];
        }
        this.values[leave] = step; this.basis[leave] = enter;
      }
      return this.prices(high);
    }
    reduced(column, y) {
      let sum = column.cost;
      for (const row of column.rows) sum -= y[row];
      return sum;
    }
    lowest(columns, y, low) {
      let found = null;
      for (const column of columns) {
        const own = this.reduced(column, y);
        if (own < low) { low = own; found = column; }
      }
      return found;
    }
    prices(high) {
      const y = new Float64Array(this.rows);
      this.basis.forEach((column, i) => {
        const own = column === null ? high : column.cost, row = this.inverse[i];
        for (let k = 0; k < this.rows; k++) y[k] += own * row[k];
      });
      return y;
    }
  }

  /* The least cost less prices of clusters of so many devices at cut v, if it is below `low`. All clusters
  are gone through, dearest prices first: k chosen devices cost at least what they do alone on the
  subcarriers that the others leave at one each, and the others give back at most the next highest prices.
  `whole` says whether `budget.nodes` were enough. */
  function* cheapest(fleet, v, size, y, low, budget) {
    const price = g => y[g] - fleet.served[v][g];
    const order = fleet.count.flatMap((many, g) => (many > 0 && fleet.fits(v, g) ? [g] : [])).sort((a, b) => price(b) - price(a));
    const prices = order.map(price), room = order.map(g => fleet.count[g]), chosen = [];
    const gain = (from, many) => {  // the highest prices of what is left
      let sum = 0;
      for (let i = from; i < order.length && many > 0; i++) { const n = Math.min(many, room[i]); sum += n * prices[i]; many -= n; }
      return many > 0 ? -Infinity : sum;
    };
    const place = (i, paid, missing) => {
      chosen.push(order[i]); room[i]--; budget.nodes--;
      if (missing === 1) low = Math.min(low, cost(fleet, chosen.slice().sort(rising), v) - chosen.reduce((sum, g) => sum + y[g], 0));
      else {
        const now = paid + prices[i], spent = alone(fleet, chosen, v, fleet.C - missing + 1, null);
        for (let next = i; next < order.length && budget.nodes > 0; next++) {
          if (room[next] === 0) continue;
          if (spent - now - gain(next, missing - 1) >= low) break;  // later ones have lower prices
          place(next, now, missing - 1);
        }
      }
      chosen.pop(); room[i]++;
    };
    for (let i = 0; i < order.length && budget.nodes > 0; i++) {
      if (-gain(i, size) >= low) break;
      place(i, 0, size);
      yield null;
    }
    return { low, whole: budget.nodes > 0 };
  }

  /* Looks at all clusters that are one device away from those that the prices rest on. */
  function around(fleet, prices) {
    const here = fleet.count.flatMap((many, g) => (many > 0 ? [g] : []));
    for (const column of prices.basis) {
      if (column === null || column.done) continue;
      column.done = true;
      const members = column.rows.slice(0, -1);
      members.forEach((own, k) => here.forEach(g => {
        if (g === own || !fleet.fits(column.v, g) || members.filter(other => other === g).length >= fleet.count[g]) return;
        const next = members.slice();
        next[k] = g;
        cost(fleet, next.sort(rising), column.v);
      }));
    }
  }

  /* A floor that is a sort: each phase by itself, as splitopt.problems.cluster_and_spectrum.bounds has it. */
  function simple(fleet, cuts) {
    const { sizes, C } = fleet, heads = [], low = (p, g) => Math.min(...cuts.map(v => fleet.terms[v][g][p]));
    sizes.reduce((at, size) => { heads.push(at); return at + size; }, 0);
    const devices = fleet.count.flatMap((many, g) => Array(many).fill(g)), most = C - Math.min(...sizes) + 1;
    let sum = devices.reduce((all, g) => all + Math.min(...cuts.map(v => fleet.served[v][g])), 0);
    [1, fleet.inner, 1].forEach((times, p) => {
      if (times === 0) return;
      const fixed = devices.map(g => low(2 * p, g)), spectral = devices.map(g => low(2 * p + 1, g));
      const slow = fixed.map((own, n) => own + spectral[n] / most).sort((a, b) => b - a);
      const first = heads.reduce((all, at) => all + slow[at], 0);
      const least = fixed.slice().sort(rising).slice(0, sizes.length).reduce((a, b) => a + b, 0);
      sum += times * Math.max(first, least + spectral.reduce((a, b) => a + b, 0) / C);
    });
    return sum * (1 - CERTAIN);
  }

  /* A floor under all plans whose clusters have cuts of `cuts`. It asks for little first: that no cluster
  is cheaper than its prices by more than a part of the plan that is known, and then for less. */
  class Floor {
    constructor(fleet, cuts, enough) {
      Object.assign(this, { fleet, cuts, enough, best: simple(fleet, cuts), slack: 0, rounds: 0 });
      this.prices = new Prices(fleet, cuts);
      this.done = this.best >= enough;
    }
    get bound() { return Math.min(this.best, this.enough); }
    * raise(budget) {
      const { fleet, prices, enough } = this, high = 10 * enough, n = fleet.size;
      let y = prices.solve(high);
      for (let turn = 0, before = 0; turn < TURNS && before < fleet.known.size; turn++) {
        yield null;
        before = fleet.known.size;
        around(fleet, prices);
        y = prices.solve(high);
      }
      const paid = fleet.count.map((many, g) => many * y[g]);
      let sum = paid.reduce((a, b) => a + b, 0), size = paid.reduce((a, b) => a + Math.abs(b), 0), below = 0, whole = true;
      const lows = new Map();
      for (const [s, own] of prices.sizes.entries()) {
        const start = y[n + s] - SLACKS[this.slack] * enough / fleet.sizes.length;
        let low = start;
        for (const v of this.cuts) {
          const one = yield* cheapest(fleet, v, own, y, low, budget);
          whole = whole && one.whole;
          low = one.low;
        }
        lows.set(own, low);
        sum += prices.right[n + s] * low; size += prices.right[n + s] * Math.abs(low);
        below = Math.max(below, start - low);
      }
      if (whole && sum - CERTAIN * size > this.best) Object.assign(this, { best: sum - CERTAIN * size, proof: { y, lows } });
      if (below > GOAL * enough && ++this.rounds < ROUNDS) return;
      this.rounds = 0; this.slack++;
      this.done = this.slack === SLACKS.length || this.best >= enough;
    }
  }

  /* How many clusters of a size there are, alike ones once. */
  function possible(fleet, size) {
    const ways = [1, ...Array(size).fill(0)];
    for (const many of fleet.count) for (let k = size; k > 0; k--) for (let n = 1; n <= Math.min(many, k); n++) ways[k] += ways[k - n];
    return ways[size];
  }

  /* The best partition below `value`, if all can be gone through: the first device that is left joins every
  cluster it can be in, as long as that and the floor of the rest are below the best. */
  function* tryOut(fleet, { cuts, proof }, value) {
    const count = fleet.count.slice(), sizes = fleet.sizes.slice(), chosen = [], y = proof.y;
    let best = { value, clusters: null }, looks = LOOKS;
    const rest = () => count.reduce((sum, many, g) => sum + many * y[g], 0) + sizes.reduce((sum, size) => sum + proof.lows.get(size), 0);
    const place = spent => {
      if (sizes.length === 0) { if (spent < best.value) best = { value: spent, clusters: chosen.map(own => own.slice()) }; return; }
      const first = count.findIndex(many => many > 0);
      for (const size of new Set(sizes)) {
        const cluster = [];
        const join = from => {
          if (looks <= 0) return;
          if (cluster.length === size) {
            looks--;
            const now = spent + least(fleet, cluster.slice(), cuts).cost;
            if (!(now + rest() < best.value * (1 - CERTAIN))) return;
            chosen.push(cluster.slice()); place(now); chosen.pop();
            return;
          }
          for (let g = from; g < fleet.size; g++) {
            if (count[g] === 0 || (cluster.length === 0 && g !== first)) continue;
            cluster.push(g); count[g]--;
            join(g);
            cluster.pop(); count[g]++;
          }
        };
        const at = sizes.indexOf(size);
        sizes.splice(at, 1);
        join(first);
        sizes.splice(at, 0, size);
      }
    };
    place(0);
    yield null;
    return { ...best, whole: looks > 0 };
  }

  /* The best plan that is found for a changed fleet, and a floor; `start` are the clusters of the plan.
  A generator: it gives an answer as soon as there is one, better ones after that, and null to breathe. */
  function* steps(fleet, start) {
    const no = (why, more) => ({ outcome: "infeasible", why, ...more });
    if (fleet.left === 0) return no("devices");
    if (fleet.sizes[0] > fleet.C) return no("subcarriers", { size: fleet.sizes[0] });
    const stuck = fleet.count.flatMap((many, g) => (many > 0 && !fleet.open.some(v => fleet.fits(v, g)) ? [g] : []));
    if (fleet.open.length === 0 || stuck.length) return no("cuts", { stuck });
    const clusters = fitted(fleet, start), modes = fleet.each ? [fleet.open] : fleet.open.map(v => [v]);
    const tried = modes.map(cuts => ({ cuts, clusters, value: total(fleet, clusters, cuts), low: simple(fleet, cuts) }));
    const kept = tried.map(one => ({ cut: fleet.each ? null : one.cuts[0], value: one.value }));
    for (const one of tried) {
      const other = sorted(fleet, one.cuts[0]), value = total(fleet, other, one.cuts);
      if (value < one.value) Object.assign(one, { clusters: other, value });
    }
    let best = null;
    const order = () => { tried.sort((a, b) => a.value - b.value); best = tried[0]; };
    const answer = bound => {
      const gap = best.value > 0 ? Math.max(0, (best.value - bound) / best.value) : 0;
      return {
        outcome: gap <= GOAL ? "optimal" : "feasible", value: best.value, bound, gap, kept, looked: fleet.known.size,
        clusters: best.clusters.map(members => costs.shown(fleet, members, least(fleet, members, best.cuts).v)),
      };
    };
    order();
    if (!(best.value < Infinity)) return { outcome: "no_solution" };
    yield answer(Math.min(...tried.map(one => Math.min(one.low, best.value))));
    for (const part of tried.length > 1 ? [0.2, 1] : [1]) {
      for (const one of tried.slice()) {
        if (one.low >= best.value || (part === 1 && one.value > NEAR * best.value)) continue;
        const found = yield* anneal(fleet, one.clusters, one.cuts, part);
        if (found.value < one.value) Object.assign(one, found);
      }
      order();
    }
    const floors = tried.map(one => new Floor(fleet, one.cuts, best.value)), budget = { nodes: NODES };
    const bound = () => Math.min(...floors.map(floor => floor.bound));
    yield answer(bound());
    while (budget.nodes > 0) {
      const open = floors.filter(floor => !floor.done);
      if (!open.length || answer(bound()).outcome === "optimal") break;
      yield* open.reduce((a, b) => (b.bound < a.bound ? b : a)).raise(budget);
      yield answer(bound());
    }
    for (const floor of floors.filter(own => own.proof && own.best < best.value * (1 - GOAL))) {
      if (fleet.sizes.some(size => possible(fleet, size) > FEW)) break;
      const found = yield* tryOut(fleet, floor, best.value);
      if (found.clusters) best = { cuts: floor.cuts, clusters: found.clusters, value: found.value };
      if (found.whole) floor.best = found.value * (1 - CERTAIN);
    }
    return answer(Math.min(bound(), best.value));
  }

  /* The last answer of `steps`. */
  function solve(fleet, start) {
    const search = steps(fleet, start);
    for (;;) {
      const step = search.next();
      if (step.done) return step.value;
    }
  }

  return { changed: costs.changed, steps, solve, cost, total, fitted };
})(typeof ClusterCost === "undefined" ? require("./cluster_cost.js") : ClusterCost);
if (typeof module !== "undefined") module.exports = Clusters;
