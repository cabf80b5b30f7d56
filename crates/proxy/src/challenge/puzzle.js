"use strict";
// Solves the gate's puzzle: in each of several random graphs, find a cycle (Cuckoo Cycle, John Tromp, 2014).
// It sends nothing anywhere: the answer goes into a cookie, and the page is asked for again.
(() => {
  const EDGES = 1 << 16, SHORTEST = 12, LONGEST = 42, CYCLES = 4, NONCES = 4096, LONGEST_WAY = 4096, TRIES = 3, SLICE = 4096;
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const status = document.getElementById("status"), progress = document.getElementById("progress");
  const puzzle = status.dataset.puzzle, began = Date.now();

  // HalfSipHash-2-4 of one word: the two halves of its 64 bits.
  const halves = new Int32Array(2);
  function hash(k0, k1, word) {
    let a = k0 | 0, b = k1 ^ 0xee, c = 0x6c796765 ^ k0, d = 0x74656462 ^ k1 ^ word;
    for (let round = 0; round < 12; round++) {
      if (round === 2) { a ^= word; d ^= 0x04000000; }
      else if (round === 4) { a ^= 0x04000000; c ^= 0xee; }
      else if (round === 8) { halves[0] = b ^ d; b ^= 0xdd; }
      a = a + b | 0; b = (b << 5 | b >>> 27) ^ a; a = a << 16 | a >>> 16;
      c = c + d | 0; d = (d << 8 | d >>> 24) ^ c;
      a = a + d | 0; d = (d << 7 | d >>> 25) ^ a;
      c = c + b | 0; b = (b << 13 | b >>> 19) ^ c; c = c << 16 | c >>> 16;
    }
    halves[1] = b ^ d;
  }

  // Where a node points, and by which edge: a forest that grows edge by edge until one closes a cycle.
  const next = new Int32Array(2 * EDGES), via = new Int32Array(2 * EDGES);
  const us = new Int32Array(LONGEST_WAY), vs = new Int32Array(LONGEST_WAY);
  function follow(node, way) {
    let steps = 0;
    for (way[0] = node; (node = next[node]) >= 0 && steps < LONGEST_WAY - 1;) way[++steps] = node;
    return steps;
  }
  // Adds a slice of the edges: the cycle that they close, nothing, or an empty one for a graph that is given up.
  function addEdges(k0, k1, from, to) {
    for (let edge = from; edge < to; edge++) {
      hash(k0, k1, edge);
      const u = halves[0] & EDGES - 1, v = (halves[1] & EDGES - 1) + EDGES;
      let up = follow(u, us), down = follow(v, vs);
      if (up === LONGEST_WAY - 1 || down === LONGEST_WAY - 1) return [];
      if (us[up] === vs[down]) {
        while (up > 0 && down > 0 && us[up - 1] === vs[down - 1]) { up--; down--; }
        if (up + down + 1 < SHORTEST || up + down + 1 > LONGEST) continue;
        const cycle = [];
        for (let at = 0; at < up; at++) cycle.push(via[us[at]]);
        for (let at = down - 1; at >= 0; at--) cycle.push(via[vs[at]]);
        cycle.push(edge);
        return cycle;
      }
      const way = up < down ? us : vs, end = up < down ? v : u;
      for (let at = up < down ? up : down; at > 0; at--) { next[way[at]] = way[at - 1]; via[way[at]] = via[way[at - 1]]; }
      next[way[0]] = end; via[way[0]] = edge;
    }
    return null;
  }
  function* findCycle(k0, k1) {
    next.fill(-1);
    for (let from = 0; from < EDGES; from += SLICE) {
      const cycle = addEdges(k0, k1, from, from + SLICE);
      if (cycle) return cycle.length > 0 ? cycle : null;
      yield;
    }
    return null;
  }

  function letters(number, count) {
    let text = "";
    for (let at = count - 1; at >= 0; at--) text += LETTERS[number >> 6 * at & 63];
    return text;
  }
  function* solve() {
    const bytes = Uint8Array.from(atob(puzzle.replace(/-/g, "+").replace(/_/g, "/")), letter => letter.charCodeAt(0));
    const mac = new DataView(bytes.buffer, 24);
    let answer = puzzle, solved = 0;
    for (let nonce = 0; nonce < NONCES; nonce++) {
      hash(mac.getInt32(0, true), mac.getInt32(4, true), nonce);
      const cycle = yield* findCycle(halves[0] ^ mac.getInt32(8, true), halves[1] ^ mac.getInt32(12, true));
      if (!cycle) continue;
      answer += "." + letters(nonce, 2) + cycle.map(edge => letters(edge, 3)).join("");
      progress.value = ++solved;
      if (solved === CYCLES) return answer;
      if (Date.now() - began > 10000) status.textContent = "This takes long on this device. You may use the other way.";
    }
  }

  // A browser whose answers are not accepted must not try for ever.
  function tooOften() {
    try {
      const [count, since] = (sessionStorage.getItem("portcullis") || "0 0").split(" ").map(Number);
      const fresh = began - since > 120000;
      sessionStorage.setItem("portcullis", fresh ? "1 " + began : count + 1 + " " + since);
      return !fresh && count >= TRIES;
    } catch (_) {
      return false;
    }
  }

  function finish(answer) {
    document.cookie = "portcullis_answer=" + answer + status.dataset.cookie;
    if (!document.cookie.includes("portcullis_answer=")) {
      status.textContent = "Your browser did not keep a cookie, and this page needs one. Please allow cookies for this site.";
      return;
    }
    status.textContent = "Done. Your page opens now.";
    location.reload();
  }

  if (tooOften()) {
    status.textContent = "That did not work in this browser. Please use the other way.";
    return;
  }
  status.textContent = "Your browser is at it. Usually this takes a second or two, and then your page opens by itself.";
  progress.hidden = false;
  // In slices of a few milliseconds, so that the page stays usable meanwhile.
  const work = solve(), turn = new MessageChannel();
  turn.port1.onmessage = () => {
    const end = Date.now() + 12;
    let step = work.next();
    while (!step.done && Date.now() < end) step = work.next();
    if (!step.done) turn.port2.postMessage(0);
    else if (step.value) finish(step.value);
    else status.textContent = "That did not work in this browser. Please use the other way.";
  };
  turn.port2.postMessage(0);
})();
