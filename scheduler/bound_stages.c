/* SPDX-License-Identifier: Apache-2.0
 * The least makespan of edge, links and cloud over all sites at once, relaxed.
 *
 * Gates. A joint whose tasks wait for all of their operands (or that is one task) cuts time in two: what stands before
 * it is over before it starts. Between two gates lies a segment, and the segments' bounds add up, by the sites at the
 * gates. A network of whole nodes has a gate at every joint, a streaming one only where rows mix (pooling, dense
 * layers).
 *
 * Segment. Everything there begins at `home`, the site of the gate before it; the other site is `away`. Whatever the
 * sites and the order, with H, A, F, B the work of home, away, the link forward (to away) and back:
 *   - H, A, F and B fit into the segment one by one; A only after the first message has arrived, F after the first rows
 *     of what it carries are there (head), B after A has begun; A and B before a journey back if the gate after it is
 * at home;
 *   - when F is over, or H at a joint that is away, a last message travels, and then comes all the work that follows
 *     from the last row (tail): all of it away, if nothing has returned to home; else the least any two sites need.
 * H, A, F, B add up node by node, so the least of the largest is a walk over the nodes in the order of ids [dynamic
 * programming with state-space relaxation: Christofides, Mingozzi & Toth, Networks 11, 1981]. A state is what the rest
 * must know: sites of tensors that are still to be read, what has crossed, whether anything has returned. Labels of a
 * state with nearly the same H are merged into one with the least of each number, which lowers the bound, never lifts
 * it. Networks in which too many tensors are alive at once are left to the game of bounds.c. */
#include "bounds.h"

#include <string.h>

enum { HOME, AWAY, HOME_OVER, AWAY_OVER, FORWARD, BACK, HEAD, FIRST, LAST, TAIL, TAIL_ANY, LATE, LATE_ANY, NUMBERS };
enum phase { STAYED, CROSSED, RETURNED };

#define SLOTS 12        /* tensors whose sites are remembered */
#define LABELS_MAX 768  /* of one step */
#define BUCKETS_MAX 128 /* of H in one state, fewer where there are many states */
#define BUCKETS_MIN 8   /* fewer: given up */
#define COARSE 32       /* fewer: not worth much */
#define HASH 4096

/* key: phase in the two lowest bits, then for each slot: is away, has crossed. */
struct label {
  uint32_t key;
  int bucket;
  int64_t ns[NUMBERS];
};

struct segment {
  int begin, end;  /* nodes */
  int entry;       /* the tensor before it that is read in it, -1: all of its operands are at home */
  bool first_home; /* node `begin` is the gate: at home */
  bool last_gates; /* the gate is node end - 1, else node `end`; at the network's end who wants the results */
};

struct walk {
  const struct bound_net *net;
  struct segment seg;
  int home;
  int64_t cap_ns;
  int slot[SLOTS]; /* node, or -1 */
  struct label *label, *next;
  int n_labels, n_next, buckets;
  bool coarse, failed;            /* few buckets somewhere; given up */
  int *at;                        /* [HASH] number in next + 1, 0: none */
  int *before, *after;            /* [n + 1] nearest joint of the segment, before -1: the gate; after: end */
  struct bound_work *head, *cone; /* [n] of joints */
  int64_t back_ns;                /* least journey back */
  int *scratch;
};

/* ------------------------------------------------------------------------------------------------- labels */

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int site_of(const struct walk *w, bool away) {
  return away ? !w->home : w->home;
}

static int workers(const struct walk *w, bool away) {
  return cost_workers(w->net->costs, (enum braid_site)site_of(w, away));
}

/* Delays and messages of networks in which something may run before what it is computed from do not count. */
static int64_t delay_ns(const struct walk *w, bool back) {
  bool up = (w->home == BRAID_EDGE) != back;
  return !w->net->regular ? 0 : up ? w->net->costs->up.delay_ns : w->net->costs->down.delay_ns;
}

static enum phase phase_of(const struct label *l) {
  return (enum phase)(l->key & 3);
}

static void set_phase(struct label *l, enum phase phase) {
  l->key = (l->key & ~UINT32_C(3)) | (uint32_t)phase;
}

static uint32_t bit(int slot, bool crossed) {
  return UINT32_C(1) << (2 + 2 * slot + crossed);
}

static bool merge(struct walk *w, const struct label *l) {
  uint32_t h = (l->key * 2654435761u ^ (uint32_t)l->bucket * 40503u) >> 7 & (HASH - 1);
  for (; w->at[h]; h = (h + 1) & (HASH - 1)) {
    struct label *same = &w->next[w->at[h] - 1];
    if (same->key != l->key || same->bucket != l->bucket) continue;
    for (int i = 0; i < NUMBERS; i++) same->ns[i] = least(same->ns[i], l->ns[i]);
    return true;
  }
  if (w->n_next == LABELS_MAX) return false;
  w->next[w->n_next] = *l;
  w->at[h] = ++w->n_next;
  return true;
}

/* ---------------------------------------------------------------------------------------------- one label */

/* The work of a side, not before what a joint's first row follows from; that all further work waits for. */
static int64_t side_ns(const struct walk *w, const struct label *l, bool away) {
  int64_t ns = l->ns[away ? AWAY : HOME] / workers(w, away);
  if (away && phase_of(l) != STAYED) ns += l->ns[FIRST];
  return max_ns(ns, l->ns[away ? AWAY_OVER : HOME_OVER]);
}

/* When everything of the segment is over and at its last gate. */
static int64_t over_ns(const struct walk *w, const struct label *l, bool to_home) {
  const int64_t *ns = l->ns;
  enum phase phase = phase_of(l);
  int64_t delay = delay_ns(w, false), home = side_ns(w, l, false), away = side_ns(w, l, true);
  int64_t back = to_home ? w->back_ns + delay_ns(w, true) : 0;
  if (!w->net->regular) return max_ns(max_ns(home, away), max_ns(ns[FORWARD], ns[BACK]));
  if (phase == STAYED) return home;
  int64_t tail = ns[phase == CROSSED ? TAIL : TAIL_ANY], late = ns[phase == CROSSED ? LATE : LATE_ANY];
  int64_t over = max_ns(home + (to_home ? 0 : ns[LAST] + delay), late + back);
  over = max_ns(over, ns[HEAD] + ns[FORWARD] + delay + tail + back);
  over = max_ns(over, away + back);
  return ns[BACK] > 0 ? max_ns(over, ns[FIRST] + ns[BACK] + delay_ns(w, true)) : over;
}

/* The tensor of u sets out for away, where node v reads it. */
static void note_forward(const struct walk *w, struct label *l, int u, int v) {
  int joint = w->after[v], before = u >= w->seg.begin ? w->before[u] : -1;
  int64_t tail = joint < w->seg.end ? w->cone[joint].ns[!w->home] : 0;
  int64_t tail_any = joint < w->seg.end ? w->cone[joint].any_ns : 0;
  int64_t head = before >= 0 ? w->head[before].ns[w->home] : 0;
  int64_t first = head + w->net->first_ns[w->home][u] + delay_ns(w, false);
  if (phase_of(l) == STAYED) {
    set_phase(l, CROSSED);
    l->ns[HEAD] = l->ns[FIRST] = l->ns[LAST] = l->ns[TAIL] = l->ns[TAIL_ANY] = INT64_MAX;
  }
  l->ns[HEAD] = least(l->ns[HEAD], head);
  l->ns[FIRST] = least(l->ns[FIRST], first);
  l->ns[LAST] = least(l->ns[LAST], w->net->last_ns[w->home][u]);
  l->ns[TAIL] = least(l->ns[TAIL], tail);
  l->ns[TAIL_ANY] = least(l->ns[TAIL_ANY], tail_any);
}

static bool may_cross(const struct walk *w, int u, bool from_away) {
  return site_of(w, from_away) == BRAID_CLOUD || !w->net->is_private[u];
}

/* v, on this side, reads u. False: it may not. */
static bool read(const struct walk *w, struct label *l, int u, int slot, int v, bool away) {
  bool from_away = l->key & bit(slot, false);
  if (from_away == away) return true;
  if (!away && v < w->seg.end) set_phase(l, RETURNED); /* a result that has travelled may be read there, too */
  if (l->key & bit(slot, true)) return true;
  if (!may_cross(w, u, from_away)) return false;
  l->key |= bit(slot, true);
  l->ns[away ? FORWARD : BACK] += w->net->send_ns[site_of(w, from_away)][u];
  if (away) note_forward(w, l, u, v);
  return true;
}

/* All that came before a joint is over, and at its side, before its last rows start. (The journey back to a joint at
 * home may be the one that the gate counts.) */
static void note_late(const struct walk *w, struct label *l, int v, bool away) {
  if (phase_of(l) == STAYED || !w->net->regular) return;
  int64_t home = side_ns(w, l, false) + l->ns[LAST] + delay_ns(w, false);
  int64_t there = side_ns(w, l, true);
  if (away) l->ns[LATE] = max_ns(l->ns[LATE], home + w->cone[v].ns[!w->home]);
  l->ns[LATE_ANY] = max_ns(l->ns[LATE_ANY], (away ? home : there) + w->cone[v].any_ns);
}

/* A joint's first row follows from rows of all that came before: what comes from it on waits for those. */
static void note_begin(const struct walk *w, struct label *l, int v, bool away) {
  if (phase_of(l) == STAYED || !w->net->in_order) return;
  int64_t begin = w->head[v].any_ns;
  if (!away && l->ns[AWAY] > 0) begin = max_ns(begin, l->ns[FIRST] + w->back_ns + delay_ns(w, true));
  int64_t *over = &l->ns[away ? AWAY_OVER : HOME_OVER];
  *over = max_ns(*over, begin);
}

static int find_slot(const struct walk *w, int u) {
  for (int i = 0; i < SLOTS; i++)
    if (w->slot[i] == u) return i;
  return -1;
}

static bool read_all(const struct walk *w, struct label *l, int v, bool away) {
  const struct braid_node *node = braid_graph_node(w->net->graph, v);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u) || (u < w->seg.begin && u != w->seg.entry)) continue;
    if (!read(w, l, u, find_slot(w, u), v, away)) return false;
  }
  return true;
}

/* Results go where they are wanted; the gate's own after the gate. False: they may not. */
static bool answer(const struct walk *w, struct label *l, int v, int slot, bool away) {
  enum braid_site site = (enum braid_site)site_of(w, away), other = site == BRAID_EDGE ? BRAID_CLOUD : BRAID_EDGE;
  if (!is_delivered(w->net->graph, v, w->net->goal->deliver, other)) return true;
  if (w->seg.last_gates && v == w->seg.end - 1) return true;
  if (!may_cross(w, v, away)) return false;
  l->ns[away ? BACK : FORWARD] += w->net->send_ns[site][v];
  if (!away) note_forward(w, l, v, w->seg.end);
  if (slot >= 0) l->key |= bit(slot, true);
  return true;
}

/* The label after v on this side; false: not allowed, or not below the cap. */
static bool extend(const struct walk *w, struct label *l, int v, int slot, bool away) {
  int site = site_of(w, away), forced = w->net->forced[v];
  if (forced >= 0 && forced != site) return false;
  if (v == w->seg.begin && w->seg.first_home && away) return false;
  if (!read_all(w, l, v, away)) return false;
  if (w->after[v] == v) {
    note_late(w, l, v, away);
    note_begin(w, l, v, away);
  }
  l->ns[away ? AWAY : HOME] += w->net->work_ns[site][v];
  if (w->net->in_order) l->ns[away ? AWAY_OVER : HOME_OVER] += w->net->work_ns[site][v];
  if (slot >= 0 && away) l->key |= bit(slot, false);
  if (!answer(w, l, v, slot, away)) return false;
  int64_t over = max_ns(side_ns(w, l, false), side_ns(w, l, true));
  return max_ns(over, max_ns(l->ns[FORWARD], l->ns[BACK])) < w->cap_ns;
}

/* -------------------------------------------------------------------------------------------------- steps */

static int last_reader(const struct walk *w, int u) {
  const struct braid_node *node = braid_graph_node(w->net->graph, u);
  if (w->seg.last_gates && u == w->seg.end - 1) return w->seg.end;
  return node->n_readers > 0 ? node->reader[node->n_readers - 1] : u;
}

/* Tensors that nobody reads after v leave. */
static uint32_t free_slots(struct walk *w, int v) {
  uint32_t keep = 3;
  for (int i = 0; i < SLOTS; i++) {
    if (w->slot[i] >= 0 && last_reader(w, w->slot[i]) <= v) w->slot[i] = -1;
    if (w->slot[i] >= 0) keep |= bit(i, false) | bit(i, true);
  }
  return keep;
}

static int take_slot(struct walk *w, int v) {
  if (last_reader(w, v) <= v) return -1;
  int slot = find_slot(w, -1);
  if (slot >= 0) w->slot[slot] = v;
  return slot;
}

/* All labels after v, merged; false: too many. */
static bool expand(struct walk *w, int v, int slot, uint32_t keep) {
  w->n_next = 0;
  memset(w->at, 0, HASH * sizeof *w->at);
  for (int i = 0; i < w->n_labels; i++)
    for (int away = 0; away < 2; away++) {
      struct label l = w->label[i];
      if (!extend(w, &l, v, slot, away)) continue;
      l.key &= keep;
      int64_t home = l.ns[HOME] / workers(w, false);
      l.bucket = (int)((double)home / (double)w->cap_ns * w->buckets);
      if (!merge(w, &l)) return false;
    }
  return true;
}

/* False: too many tensors or states. */
static bool step(struct walk *w, int v) {
  int slot = take_slot(w, v), reading[SLOTS];
  if (slot < 0 && last_reader(w, v) > v) return false;
  memcpy(reading, w->slot, sizeof reading);
  uint32_t keep = free_slots(w, v);
  int left[SLOTS];
  memcpy(left, w->slot, sizeof left);
  memcpy(w->slot, reading, sizeof reading);
  w->buckets = w->buckets < BUCKETS_MAX / 2 ? 2 * w->buckets : BUCKETS_MAX;
  for (; !expand(w, v, slot, keep); w->buckets /= 2)
    if (w->buckets <= BUCKETS_MIN) return false;
  if (w->buckets < COARSE) w->coarse = true;
  memcpy(w->slot, left, sizeof left);
  struct label *spare = w->label;
  w->label = w->next;
  w->next = spare;
  w->n_labels = w->n_next;
  return true;
}

/* ----------------------------------------------------------------------------------------------- segments */

static void find_joints(struct walk *w) {
  int begin = w->seg.begin, end = w->seg.end, joint = -1;
  for (int v = begin; v < end; v++) {
    if (w->net->is_joint[v]) joint = v;
    w->before[v] = joint;
  }
  joint = end;
  w->after[end] = end;
  for (int v = end - 1; v >= begin; v--) {
    if (w->net->is_joint[v]) joint = v;
    w->after[v] = joint;
  }
}

static int64_t least_back_ns(const struct walk *w) {
  int64_t ns = INT64_MAX;
  for (int v = w->seg.begin; v < w->seg.end; v++)
    if (may_cross(w, v, true)) ns = least(ns, w->net->last_ns[!w->home][v]);
  return ns == INT64_MAX || !w->net->regular ? 0 : ns;
}

static void begin_walk(struct walk *w) {
  for (int i = 0; i < SLOTS; i++) w->slot[i] = -1;
  w->label[0] = (struct label){0};
  w->n_labels = 1;
  w->buckets = BUCKETS_MAX;
  w->back_ns = least_back_ns(w);
  if (w->seg.entry < 0) return;
  w->slot[0] = w->seg.entry;
  if (!answer(w, &w->label[0], w->seg.entry, 0, false)) w->n_labels = 0;
}

/* The gate is at this side. */
static int64_t end_walk(const struct walk *w, bool away) {
  int64_t best = w->cap_ns;
  int gate = w->seg.end, slot = w->seg.last_gates ? find_slot(w, gate - 1) : -1;
  if (gate == w->net->n && !w->seg.last_gates && site_of(w, away) != (int)w->net->goal->deliver) return COST_NEVER;
  for (int i = 0; i < w->n_labels; i++) {
    struct label l = w->label[i];
    if (w->seg.last_gates) {
      if (slot >= 0 && ((l.key & bit(slot, false)) != 0) != away) continue;
    } else if (gate < w->net->n) {
      if (w->net->forced[gate] >= 0 && w->net->forced[gate] != site_of(w, away)) continue;
      if (!read_all(w, &l, gate, away)) continue;
    }
    best = least(best, over_ns(w, &l, !away));
  }
  return best;
}

/* total[site]: the least until the gate before, then until the one after. */
static void pass_segment(struct walk *w, int64_t total[2]) {
  int64_t after[2] = {COST_NEVER, COST_NEVER}, cap = w->cap_ns;
  find_joints(w);
  for (int v = w->seg.begin; v < w->seg.end; v++)
    if (w->net->is_joint[v]) {
      bound_head(w->net, w->seg.begin, v, w->scratch, &w->head[v]);
      bound_cone(w->net, v, w->seg.end, w->scratch, &w->cone[v]);
    }
  for (w->home = 0; w->home < 2; w->home++) {
    if (total[w->home] >= cap) continue;
    w->cap_ns = cap - total[w->home];
    begin_walk(w);
    for (int v = w->seg.begin; v < w->seg.end && !w->failed; v++) w->failed = !step(w, v);
    if (w->failed) return;
    for (int away = 0; away < 2; away++) {
      int64_t *at = &after[site_of(w, away)];
      int64_t ns = end_walk(w, away);
      if (ns < COST_NEVER) *at = least(*at, total[w->home] + ns);
    }
  }
  w->cap_ns = cap;
  memcpy(total, after, sizeof after);
}

static bool gates_before(const struct bound_net *net, int v) {
  return net->regular && net->is_joint[v] && v > 0 && bound_reads_all(net, v);
}

static bool gates_after(const struct bound_net *net, int v) {
  return net->regular && net->is_joint[v] && bound_is_whole(net, v) &&
         braid_graph_node(net->graph, v)->op != BRAID_OP_INPUT;
}

static int64_t pass_all(struct walk *w) {
  int64_t total[2] = {0, COST_NEVER};
  w->seg = (struct segment){.entry = -1};
  for (int v = 0; v < w->net->n && !w->failed; v++) {
    if (gates_before(w->net, v)) {
      w->seg.end = v;
      pass_segment(w, total);
      w->seg = (struct segment){.begin = v, .entry = -1, .first_home = true};
    }
    if (gates_after(w->net, v)) {
      w->seg.end = v + 1;
      w->seg.last_gates = true;
      pass_segment(w, total);
      w->seg = (struct segment){.begin = v + 1, .entry = v};
    }
  }
  w->seg.end = w->net->n;
  if (!w->failed) pass_segment(w, total);
  return least(total[w->net->goal->deliver], w->cap_ns);
}

/* --------------------------------------------------------------------------------------------- the outside */

enum braid_status bound_stages_ns(const struct bound_net *net, int64_t cap_ns, int64_t *ns, bool *coarse) {
  struct walk w = {.net = net, .cap_ns = cap_ns};
  size_t n = (size_t)net->n + 1;
  struct label *labels = braid_malloc(2 * LABELS_MAX * sizeof *labels);
  struct bound_work *work = braid_malloc(2 * n * sizeof *work);
  int *ints = braid_malloc((3 * n + HASH) * sizeof *ints);
  enum braid_status status = BRAID_OK;
  if (labels && work && ints) {
    w.label = labels;
    w.next = labels + LABELS_MAX;
    w.head = work;
    w.cone = work + n;
    w.before = ints;
    w.after = ints + n;
    w.scratch = ints + 2 * n;
    w.at = ints + 3 * n;
    *ns = pass_all(&w);
    *coarse = w.coarse || w.failed;
    if (w.failed) *ns = 0;
  } else {
    status = braid_fail(BRAID_ENOMEM, "bounds of %d nodes", net->n);
  }
  braid_free(labels);
  braid_free(work);
  braid_free(ints);
  return status;
}
