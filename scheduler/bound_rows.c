/* SPDX-License-Identifier: Apache-2.0
 * What is known of any plan's rows before the sites are: how much work and how many bytes the answer waits for, and
 * which rows follow from which.
 *
 * Order. With one worker a site, the slices of a node start, end and arrive on the other side in ascending order:
 * readiness is monotone in the rows because needs are (braid_graph_needs), ties go to the smaller slice, nothing is
 * interrupted, and messages leave in order. So when the last needed row of a tensor is there, the others are. That
 * breaks where rows wait for nothing (only padding): such networks, and several workers, do without it. */
#include "bounds.h"

#define BOUND_MIXES 8
/* Shares of the edge in a mix of both sites' times: min(x edge, (1 - x) cloud), summed over nodes, is at most the
 * larger of edge and cloud under every assignment. */
static const double bound_mix[BOUND_MIXES] = {0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.7};

static int64_t shared_ns(const struct bound_net *net, enum braid_site site, int v, struct braid_band band) {
  const struct braid_costs *c = net->costs;
  if (braid_graph_node(net->graph, v)->op == BRAID_OP_INPUT || band.begin >= band.end) return 0;
  return cost_task_ns(c, net->graph, site, v, band);
}

/* Tasks of a node that may be cut hold at least so many rows. */
static int least_rows(const struct bound_net *net, int v) {
  const struct braid_node *node = braid_graph_node(net->graph, v);
  int most = net->slices < node->slices_max ? net->slices : node->slices_max, rows = bound_rows(net->graph, v);
  if (node->op == BRAID_OP_INPUT) return rows;
  return most > 1 ? rows / most : rows;
}

static bool is_whole(const struct bound_net *net, int v) {
  return least_rows(net, v) == bound_rows(net->graph, v);
}

/* ------------------------------------------------------------------------------------------------- dependence */

/* Rows of v, by row q of operand k: the first that waits for a row >= q. False: some row waits for nothing. */
static bool fill_waits(const struct bound_net *net, int v, int k, int *first) {
  int u = braid_graph_node(net->graph, v)->in[k], rows = bound_rows(net->graph, u), at = 0;
  for (int i = 0; i < bound_rows(net->graph, v); i++) {
    struct braid_band need = braid_graph_needs(net->graph, v, k, (struct braid_band){i, i + 1});
    if (need.begin >= need.end) return false;
    for (; at < need.end; at++) first[at] = i;
  }
  for (; at < rows; at++) first[at] = bound_rows(net->graph, v);
  return true;
}

static bool whole_waits(const struct bound_net *net, int v, int k) {
  struct braid_band need = braid_graph_needs(net->graph, v, k, (struct braid_band){0, bound_rows(net->graph, v)});
  return need.begin < need.end;
}

static enum braid_status lay_out_waits(struct bound_net *net) {
  int64_t size = 0;
  int operands = 0;
  for (int v = 0; v < net->n; v++) {
    const struct braid_node *node = braid_graph_node(net->graph, v);
    net->operand[v] = operands;
    operands += node->n_in;
    for (int k = 0; k < node->n_in; k++)
      if (braid_is_node(node->in[k]) && !is_whole(net, v)) size += bound_rows(net->graph, node->in[k]);
  }
  net->waits_at = braid_malloc(((size_t)operands + 1) * sizeof *net->waits_at);
  net->waits = braid_malloc(((size_t)size + 1) * sizeof *net->waits);
  if (!net->waits_at || !net->waits) return braid_fail(BRAID_ENOMEM, "bounds of %d nodes", net->n);
  return BRAID_OK;
}

static enum braid_status fill_all_waits(struct bound_net *net) {
  int64_t at = 0;
  BRAID_TRY(lay_out_waits(net));
  for (int v = 0; v < net->n; v++) {
    const struct braid_node *node = braid_graph_node(net->graph, v);
    bool fed = node->op == BRAID_OP_INPUT;
    for (int k = 0; k < node->n_in; k++) {
      if (!braid_is_node(node->in[k])) continue;
      net->waits_at[net->operand[v] + k] = at;
      if (is_whole(net, v)) {
        net->regular &= whole_waits(net, v, k);
      } else {
        net->regular = net->regular && fill_waits(net, v, k, net->waits + at);
        at += bound_rows(net->graph, node->in[k]);
      }
      fed = true;
    }
    net->regular &= fed;
  }
  return BRAID_OK;
}

/* The first row of v in a task that waits for row q of operand k. */
static int waiting_row(const struct bound_net *net, int v, int k, int q) {
  if (is_whole(net, v)) return 0;
  return net->waits[net->waits_at[net->operand[v] + k] + q];
}

/* Where the task begins that holds row `row` and the last row. A joint is not complete before all its ancestors are:
 * its last needed row follows from each of them. */
static int begin_of(const struct bound_net *net, int v, int row) {
  int last = net->last[v], all = bound_rows(net->graph, v);
  if (row > last && net->is_joint[v]) row = last;
  if (row <= last && last == all - 1 && row > all - least_rows(net, v)) row = all - least_rows(net, v);
  return row;
}

static struct braid_band cone_band(const struct bound_net *net, int v, int from) {
  struct braid_band band = {from, net->last[v] + 1};
  if (band.end - band.begin < least_rows(net, v))
    band = (struct braid_band){bound_rows(net->graph, v) - least_rows(net, v), bound_rows(net->graph, v)};
  return band;
}

/* Of tasks that together hold at least as many rows, wherever: shares are rounded, one may have a ns less. */
static int64_t cone_ns(const struct bound_net *net, enum braid_site site, int v, int from) {
  bool suffix = net->last[v] == bound_rows(net->graph, v) - 1;
  int64_t ns = shared_ns(net, site, v, cone_band(net, v, from));
  return ns > 0 && !suffix ? ns - 1 : ns;
}

static void mix(double edge, double cloud, int64_t mixed_ns[BOUND_MIXES]) {
  for (int i = 0; i < BOUND_MIXES; i++) {
    double x = bound_mix[i] * edge, y = (1 - bound_mix[i]) * cloud;
    mixed_ns[i] += (int64_t)(x < y ? x : y);
  }
}

static int64_t most(const int64_t mixed_ns[BOUND_MIXES]) {
  int64_t ns = 0;
  for (int i = 0; i < BOUND_MIXES; i++) ns = max_ns(ns, mixed_ns[i]);
  return ns;
}

/* The first row of joint v whose task waits for the last needed row of each operand. */
static int first_after_last(const struct bound_net *net, int v) {
  const struct braid_node *node = braid_graph_node(net->graph, v);
  int row = 0;
  for (int k = 0; k < node->n_in; k++) {
    if (!braid_is_node(node->in[k]) || net->last[node->in[k]] < 0) continue;
    int waits = waiting_row(net, v, k, net->last[node->in[k]]);
    if (waits > row) row = waits;
  }
  return begin_of(net, v, row);
}

/* The first row of w that follows from rows from[u].. of its operands from v on; beyond the last needed one: none. */
static int first_in_cone(const struct bound_net *net, int v, int w, const int *from) {
  const struct braid_node *node = braid_graph_node(net->graph, w);
  int row = bound_rows(net->graph, w);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    if (!braid_is_node(u) || u < v || from[u] > net->last[u]) continue;
    int first = begin_of(net, w, waiting_row(net, w, k, from[u]));
    if (first < row) row = first;
  }
  return row;
}

void bound_cone(const struct bound_net *net, int v, int end, int *from, struct bound_work *work) {
  int64_t mixed[BOUND_MIXES] = {0};
  *work = (struct bound_work){0};
  if (!net->in_order) return;
  for (int w = v; w < end; w++) {
    from[w] = w == v ? first_after_last(net, v) : first_in_cone(net, v, w, from);
    if (net->last[w] < 0 || from[w] > net->last[w]) continue;
    int64_t e = cone_ns(net, BRAID_EDGE, w, from[w]), c = cone_ns(net, BRAID_CLOUD, w, from[w]);
    work->ns[BRAID_EDGE] += e;
    work->ns[BRAID_CLOUD] += c;
    mix((double)e, (double)c, mixed);
  }
  work->any_ns = most(mixed);
}

/* Row 0 of a tensor is the first to be there, and the first that anything waits for. */
void bound_head(const struct bound_net *net, int begin, int v, int *upto, struct bound_work *work) {
  int64_t mixed[BOUND_MIXES] = {0};
  *work = (struct bound_work){0};
  if (!net->in_order) return;
  for (int u = begin; u <= v; u++) upto[u] = 0;
  upto[v] = 1;
  for (int w = v; w >= begin; w--) {
    const struct braid_node *node = braid_graph_node(net->graph, w);
    if (upto[w] == 0) continue;
    if (upto[w] < least_rows(net, w)) upto[w] = least_rows(net, w);
    struct braid_band out = {0, upto[w]};
    int64_t e = shared_ns(net, BRAID_EDGE, w, out), c = shared_ns(net, BRAID_CLOUD, w, out);
    work->ns[BRAID_EDGE] += e;
    work->ns[BRAID_CLOUD] += c;
    if (w < v) mix((double)e, (double)c, mixed);
    for (int k = 0; k < node->n_in; k++) {
      int u = node->in[k];
      if (!braid_is_node(u) || u < begin) continue;
      struct braid_band need = braid_graph_needs(net->graph, w, k, out);
      if (need.end > upto[u]) upto[u] = need.end;
    }
  }
  work->any_ns = most(mixed);
}

/* ---------------------------------------------------------------------------------------------------- making */

/* Work of `rows` rows of the node: sliced nodes may skip the others, whole ones compute them all. */
static int64_t needed_ns(const struct bound_net *net, enum braid_site site, int v) {
  int rows = net->needed[v], all = bound_rows(net->graph, v);
  if (is_whole(net, v)) rows = all;
  if (rows == 0) return 0;
  int64_t ns = shared_ns(net, site, v, (struct braid_band){0, rows}),
          rounding = rows < all && !net->in_order ? rows : 0;
  return ns > rounding ? ns - rounding : 0; /* scattered rows: up to one ns each */
}

static int64_t message_ns(const struct bound_net *net, const struct braid_link_cost *link, int v, int rows) {
  int64_t bytes = (int64_t)cost_tensor_bytes(net->costs, net->graph, v), all = bound_rows(net->graph, v);
  bytes = bytes / all * rows + bytes % all * rows / all;
  return link->message_ns + (int64_t)(8e9 * (double)bytes / link->bits_per_s);
}

static void fill_node(struct bound_net *net, int v) {
  const struct braid_link_cost *link[2] = {&net->costs->up, &net->costs->down};
  struct braid_band band = {0, net->sent[v]};
  int step = cost_message_rows(net->costs, net->graph, v), least = least_rows(net, v);
  for (int s = 0; s < 2; s++) {
    net->work_ns[s][v] = needed_ns(net, (enum braid_site)s, v);
    net->send_ns[s][v] = band.end > 0 ? cost_send_least_ns(net->costs, net->graph, link[s], v, band) : 0;
    net->last_ns[s][v] = message_ns(net, link[s], v, 1);
    net->first_ns[s][v] = message_ns(net, link[s], v, step < least ? step : least);
  }
  net->forced[v] = -1;
  if (braid_graph_node(net->graph, v)->op == BRAID_OP_INPUT) net->forced[v] = BRAID_EDGE;
  if (net->goal->pinned && net->goal->pinned[v] >= 0) net->forced[v] = net->goal->pinned[v];
  net->is_private[v] = net->goal->private_input && is_private_tensor(net->graph, v);
}

static enum braid_status alloc_net(struct bound_net *net) {
  size_t n = (size_t)net->n;
  int64_t *m = braid_malloc(8 * n * sizeof *m);
  int *rows = braid_malloc(4 * n * sizeof *rows);
  uint8_t *flags = braid_calloc(3 * n, 1);
  net->memory[0] = m;
  net->memory[1] = rows;
  net->memory[2] = flags;
  if (!m || !rows || !flags) return braid_fail(BRAID_ENOMEM, "bounds of %d nodes", net->n);
  for (int s = 0; s < 2; s++) {
    net->work_ns[s] = m + (size_t)s * n;
    net->send_ns[s] = m + (size_t)(2 + s) * n;
    net->first_ns[s] = m + (size_t)(4 + s) * n;
    net->last_ns[s] = m + (size_t)(6 + s) * n;
  }
  net->needed = rows;
  net->last = rows + n;
  net->operand = rows + 2 * n;
  net->sent = rows + 3 * n;
  net->forced = (int8_t *)flags;
  net->is_private = (bool *)(flags + n);
  net->is_joint = (bool *)(flags + 2 * n);
  return BRAID_OK;
}

enum braid_status bound_net_fill(struct bound_net *net) {
  int n_joints = 0;
  net->n = braid_graph_size(net->graph);
  net->slices = net->goal->slices;
  BRAID_TRY(alloc_net(net));
  const int *joint = braid_graph_joints(net->graph, &n_joints);
  for (int i = 0; i < n_joints; i++)
    if (joint[i] >= 0) net->is_joint[joint[i]] = true;
  net->regular = !bound_too_long(net->graph, 2);
  if (net->regular) BRAID_TRY(fill_all_waits(net));
  net->in_order = net->regular && net->costs->edge_workers == 1 && net->costs->cloud_workers == 1;
  BRAID_TRY(bound_needed_rows(net->graph, net->slices, net->in_order, net->needed, net->last, net->sent));
  for (int v = 0; v < net->n; v++) fill_node(net, v);
  return BRAID_OK;
}

void bound_net_free(struct bound_net *net) {
  for (int i = 0; i < 3; i++) braid_free(net->memory[i]);
  braid_free(net->waits_at);
  braid_free(net->waits);
}

/* Does every task of v wait for every needed row of its operands? */
bool bound_reads_all(const struct bound_net *net, int v) {
  const struct braid_node *node = braid_graph_node(net->graph, v);
  for (int k = 0; k < node->n_in && !is_whole(net, v); k++) {
    int u = node->in[k], rows = bound_rows(net->graph, v);
    if (!braid_is_node(u)) continue;
    int all = bound_rows(net->graph, u);
    for (int i = 0; i < rows; i++) {
      struct braid_band need = braid_graph_needs(net->graph, v, k, (struct braid_band){i, i + 1});
      if (need.begin > 0 || need.end < all) return false;
    }
  }
  return true;
}

bool bound_is_whole(const struct bound_net *net, int v) {
  return is_whole(net, v);
}
