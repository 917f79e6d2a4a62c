/* SPDX-License-Identifier: Apache-2.0
 * decc's cost model (decc.h): what jobs are, and what has come of a sequence of them.
 *
 * With one worker a site the model is the simulator's timeline of whole nodes but for three things: the wire keeps the
 * order of the steps and does not let a branch overtake while it waits for another; what a chain sends goes out when
 * all its edge part is done (a chain cut once sends one tensor, so that this is exact); and its cloud part waits for
 * all of it. Several workers: branches are scheduled onto machines as they come, each branch with all that is nested in
 * it on one worker of each site; what lies before and after the block is list-scheduled node by node. */
#include "decc.h"

#include <string.h>

#define WORKERS_MOST 64 /* told apart around the block */

static inline int64_t along(int64_t a, int64_t b) {
  return a < 0 || b < 0 ? DECC_NONE : a + b;
}

/* ---------------------------------------------------------------------------------------------- the network */

/* Everything on one site: end[v] of each node, and when the last is done. */
static int64_t list_schedule(const struct stages *st, enum braid_site site, int64_t *end) {
  int64_t busy[WORKERS_MOST] = {0}, last = 0;
  int workers = cost_workers(st->costs, site);
  if (workers > WORKERS_MOST) workers = WORKERS_MOST;
  for (int v = 0; v < st->n; v++) {
    const struct braid_node *node = braid_graph_node(st->graph, v);
    end[v] = 0;
    if (node->op == BRAID_OP_INPUT) continue;
    for (int k = 0; k < node->n_in; k++)
      if (braid_is_node(node->in[k])) end[v] = max_ns(end[v], end[node->in[k]]);
    int least = 0;
    for (int w = 1; w < workers; w++)
      if (busy[w] < busy[least]) least = w;
    busy[least] = end[v] = max_ns(end[v], busy[least]) + st->work[site][v];
    last = max_ns(last, end[v]);
  }
  return last;
}

static int64_t add_up(const struct stages *st, enum braid_site site, int64_t *end) {
  int64_t sum = 0;
  for (int v = 0; v < st->n; v++) end[v] = sum += st->work[site][v];
  return sum;
}

static void fill_net(struct decc_net *net) {
  const struct stages *st = net->st;
  (void)(net->throughput ? add_up : list_schedule)(st, BRAID_EDGE, net->edge_end);
  int64_t total = (net->throughput ? add_up : list_schedule)(st, BRAID_CLOUD, net->cloud_tail);
  for (int v = st->n - 1; v >= 0; v--) {
    net->cloud_tail[v] = total - (net->cloud_tail[v] - st->work[BRAID_CLOUD][v]);
    bool comes_home = is_delivered(st->graph, v, st->goal->deliver, BRAID_EDGE);
    net->down_tail[v] = net->down_tail[v + 1] + (comes_home ? st->down[v] : 0);
  }
  for (int v = 0; v < st->n; v++) {
    bool input = braid_graph_node(st->graph, v)->op == BRAID_OP_INPUT;
    net->memory[v + 1] = net->memory[v] + st->memory[v];
    net->pinned[v + 1] = net->pinned[v] + (st->pinned[v] && !input);
    net->away[v + 1] = net->away[v] + st->away[v];
    bool goes_up = is_delivered(st->graph, v, st->goal->deliver, BRAID_CLOUD) && st->up[v] < COST_NEVER;
    net->up_head[v + 1] = net->up_head[v] + (goes_up ? st->up[v] : 0);
  }
}

enum braid_status decc_net_create(const struct stages *st, enum braid_objective objective,
                                  const struct decc_limits *limits, struct decc_net **out) {
  size_t n = (size_t)st->n + 1;
  struct decc_net *net = braid_calloc(1, sizeof *net);
  if (!net) return braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  net->st = st;
  net->limits = limits;
  net->throughput = objective == BRAID_THROUGHPUT;
  net->cutoff_ns = COST_NEVER;
  net->up_delay = st->costs->up.delay_ns;
  net->down_delay = st->goal->deliver == BRAID_EDGE ? st->costs->down.delay_ns : 0;
  net->edge_end = braid_calloc(n, sizeof *net->edge_end);
  net->cloud_tail = braid_calloc(n, sizeof *net->cloud_tail);
  net->down_tail = braid_calloc(n, sizeof *net->down_tail);
  net->up_head = braid_calloc(n, sizeof *net->up_head);
  net->memory = braid_calloc(n, sizeof *net->memory);
  net->pinned = braid_calloc(n, sizeof *net->pinned);
  net->away = braid_calloc(n, sizeof *net->away);
  bool ok = net->edge_end && net->cloud_tail && net->down_tail && net->up_head;
  if (!ok || !net->memory || !net->pinned || !net->away) {
    decc_net_destroy(&net);
    return braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  }
  fill_net(net);
  *out = net;
  return BRAID_OK;
}

void decc_net_destroy(struct decc_net **net) {
  if (!net || !*net) return;
  void *parts[] = {(*net)->edge_end, (*net)->cloud_tail, (*net)->down_tail, (*net)->up_head,
                   (*net)->memory,   (*net)->pinned,     (*net)->away};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) braid_free(parts[i]);
  braid_free(*net);
  *net = NULL;
}

/* -------------------------------------------------------------------------------------------------- jobs */

static struct decc_job idle_job(void) {
  struct decc_job job;
  for (int r = 0; r < DECC_ROWS; r++)
    for (int q = 0; q < DECC_FROM; q++) job.at[r][q] = r == q ? 0 : DECC_NONE;
  return job;
}

static void add_cloud_paths(const struct decc_net *net, const struct decc_sums *s, struct decc_job *job) {
  int64_t arrived[DECC_FROM];
  for (int q = 0; q < DECC_FROM; q++) arrived[q] = s->up > 0 ? along(job->at[DECC_UP][q], net->up_delay) : DECC_NONE;
  if (s->reads_entry) arrived[DECC_ENTRY] = net->up_delay;
  for (int q = 0; q < DECC_FROM; q++) {
    if (s->cloud > 0) job->at[DECC_CLOUD][q] = along(q == DECC_CLOUD ? 0 : arrived[q], s->cloud);
    job->at[DECC_JOIN][q] = s->cloud > 0 ? job->at[DECC_CLOUD][q] : arrived[q];
    if (s->down > 0) job->at[DECC_DOWN][q] = along(q == DECC_DOWN ? 0 : job->at[DECC_JOIN][q], s->down);
  }
}

struct decc_job decc_plain_job(const struct decc_net *net, const struct decc_sums *s) {
  struct decc_job job = idle_job();
  job.at[DECC_EDGE][DECC_EDGE] = s->edge;
  job.at[DECC_UP][DECC_UP] = s->up;
  if (net->throughput) {
    job.at[DECC_CLOUD][DECC_CLOUD] = s->cloud;
    job.at[DECC_DOWN][DECC_DOWN] = s->down;
    return job;
  }
  if (s->up > 0 && s->computed) job.at[DECC_UP][DECC_EDGE] = s->edge + s->up;
  add_cloud_paths(net, s, &job);
  return job;
}

/* ------------------------------------------------------------------------------------------------- steps */

static void take_machine(int64_t *busy, int n, int64_t end) {
  int at = 0;
  for (; at + 1 < n && busy[at + 1] < end; at++) busy[at] = busy[at + 1];
  busy[at] = end;
}

void decc_take(const struct decc_block *block, int columns, const struct decc_job *job, struct decc_state *s) {
  static const int reads[DECC_ROWS] = {1, 2, 0, 4, 5, 4}; /* rows before this one */
  int64_t old[DECC_ROWS][DECC_FROM];
  memcpy(old, s->at, sizeof old);
  for (int r = 0; r < DECC_ROWS; r++)
    for (int c = 0; c < columns && r != DECC_ENTRY; c++) {
      int64_t most = r == DECC_JOIN ? old[r][c] : DECC_NONE;
      for (int q = 0; q < reads[r]; q++) most = max_ns(most, along(job->at[r][q], old[q][c]));
      s->at[r][c] = most;
    }
  if (!block) return;
  static const int row[2] = {DECC_EDGE, DECC_CLOUD};
  for (int site = 0; site < 2; site++) {
    if (block->n_machines[site] == 1) continue;
    take_machine(s->busy[site], block->n_machines[site], s->at[row[site]][0]);
    s->at[row[site]][0] = s->busy[site][0];
  }
}

void decc_send_entry(const struct decc_net *net, const struct decc_fork *fork, int columns, struct decc_state *s) {
  if (s->sent) return;
  s->sent = true;
  if (!net->throughput) s->at[DECC_UP][0] = max_ns(s->at[DECC_UP][0], fork->entry_ready);
  for (int c = 0; c < columns; c++) {
    s->at[DECC_UP][c] = along(s->at[DECC_UP][c], fork->entry_up);
    if (!net->throughput) s->at[DECC_ENTRY][c] = s->at[DECC_UP][c];
  }
}

struct decc_state decc_start(const struct decc_block *block) {
  struct decc_state s = {.memory = block->memory_before, .parent = -1, .branch = -1, .option = -1};
  s.at[DECC_EDGE][0] = block->edge_before;
  s.at[DECC_UP][0] = block->up_before;
  s.at[DECC_ENTRY][0] = s.at[DECC_JOIN][0] = DECC_NONE;
  for (int i = 0; i < block->n_machines[BRAID_EDGE]; i++) s.busy[BRAID_EDGE][i] = block->edge_before;
  return s;
}

static int64_t last_end(const struct decc_block *block, const struct decc_state *s, enum braid_site site) {
  int machines = block->n_machines[site];
  return machines > 1 ? s->busy[site][machines - 1] : s->at[site == BRAID_EDGE ? DECC_EDGE : DECC_CLOUD][0];
}

static int64_t period_ns(const struct decc_block *block, const struct decc_state *s) {
  const struct braid_costs *costs = block->net->st->costs;
  int64_t edge = s->at[DECC_EDGE][0] / costs->edge_workers;
  int64_t cloud = (s->at[DECC_CLOUD][0] + block->cloud_after) / costs->cloud_workers;
  return max_ns(max_ns(edge, s->at[DECC_UP][0]), max_ns(cloud, s->at[DECC_DOWN][0] + block->down_after));
}

int64_t decc_finish_ns(const struct decc_block *block, const struct decc_state *state) {
  const struct decc_net *net = block->net;
  struct decc_state s = *state;
  if (block->fork.exit_reads) decc_send_entry(net, &block->fork, 1, &s);
  if (net->throughput) return period_ns(block, &s);
  int64_t end = last_end(block, &s, BRAID_EDGE);
  if (s.at[DECC_DOWN][0] > 0) end = max_ns(end, s.at[DECC_DOWN][0] + net->down_delay);
  int64_t joined = max_ns(s.at[DECC_JOIN][0], last_end(block, &s, BRAID_CLOUD));
  if (block->fork.exit_reads) joined = max_ns(joined, s.at[DECC_ENTRY][0] + net->up_delay);
  if (block->fork.block->exit < 0) return net->st->goal->deliver == BRAID_CLOUD ? max_ns(end, joined) : end;
  int64_t answered = max_ns(s.at[DECC_DOWN][0], joined + block->cloud_after) + block->down_after + net->down_delay;
  return max_ns(end, answered);
}
