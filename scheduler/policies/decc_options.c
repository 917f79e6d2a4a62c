/* SPDX-License-Identifier: Apache-2.0
 * Partition points. A branch may be cut after any prefix of its nodes (ids are a topological order, so prefixes are
 * closed), from "nothing on the edge" to "all of it"; where it forks again it may also be cut inside the fork, with a
 * partition point of its own in each nested branch and an order of those, and so on to any depth. Options that another
 * one beats on every path of their jobs are dropped at once. Branches that are the same in all that counts (views of
 * one network) share their options. */
#include "decc.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- lists */

static bool beats(const struct decc_option *a, const struct decc_option *b) {
  if (a->memory > b->memory || a->reads_entry > b->reads_entry) return false;
  for (int r = 0; r < DECC_FROM; r++) /* tells most pairs apart */
    if (a->job.at[r][r] > b->job.at[r][r]) return false;
  for (int r = 0; r < DECC_ROWS; r++)
    for (int q = 0; q < DECC_FROM; q++)
      if (a->job.at[r][q] > b->job.at[r][q]) return false;
  return true;
}

static void drop_option(struct decc_branch *list, int i) {
  braid_free(list->option[i].step);
  memmove(&list->option[i], &list->option[i + 1], (size_t)(--list->n - i) * sizeof *list->option);
}

/* Alone on its machines, and yet too long. */
static bool is_hopeless(const struct decc_net *net, const struct decc_job *job) {
  const struct braid_costs *costs = net->st->costs;
  int64_t edge = job->at[DECC_EDGE][DECC_EDGE], cloud = job->at[DECC_CLOUD][DECC_CLOUD];
  if (net->throughput) {
    edge /= costs->edge_workers;
    cloud /= costs->cloud_workers;
  }
  int64_t longest = max_ns(max_ns(edge, cloud), job->at[DECC_UP][DECC_UP]);
  return max_ns(longest, job->at[DECC_JOIN][DECC_EDGE]) > net->cutoff_ns;
}

enum braid_status decc_add_option(const struct decc_net *net, struct decc_branch *list, struct decc_option *option) {
  if (is_hopeless(net, &option->job)) {
    braid_free(option->step);
    return BRAID_OK;
  }
  for (int i = 0; i < list->n; i++)
    if (beats(&list->option[i], option)) {
      braid_free(option->step);
      return BRAID_OK;
    }
  for (int i = list->n - 1; i >= 0; i--)
    if (beats(option, &list->option[i])) drop_option(list, i);
  if (list->n == list->room) {
    int room = list->room ? 2 * list->room : 16;
    struct decc_option *grown = braid_realloc(list->option, (size_t)room * sizeof *grown);
    if (!grown) {
      braid_free(option->step);
      return braid_fail(BRAID_ENOMEM, "%d partition points", room);
    }
    list->option = grown;
    list->room = room;
  }
  list->option[list->n++] = *option;
  return BRAID_OK;
}

/* Is a, but for `slack` 1024ths on every path, as good as b? */
static bool comes_close(const struct decc_option *a, const struct decc_option *b, int64_t slack) {
  if (a->memory > b->memory || a->reads_entry > b->reads_entry) return false;
  for (int r = 0; r < DECC_ROWS; r++)
    for (int q = 0; q < DECC_FROM; q++) {
      int64_t x = a->job.at[r][q], y = b->job.at[r][q];
      if (x > y && (y < 0 || x > y + y / 1024 * slack)) return false;
    }
  return true;
}

static void drop_close(struct decc_branch *list, int most, int64_t slack) {
  for (int i = list->n - 1; i >= 0 && list->n > most; i--)
    for (int j = 0; j < list->n; j++)
      if (j != i && comes_close(&list->option[j], &list->option[i], slack)) {
        drop_option(list, i);
        break;
      }
}

void decc_thin(struct decc_branch *list, int most) {
  for (int64_t slack = 2; list->n > most && slack < 1024; slack *= 2) drop_close(list, most, slack);
  while (list->n > most) drop_option(list, list->n / 2);
}

/* ----------------------------------------------------------------------------------------------- prefixes */

/* What a prefix of a branch comes to, kept up to date as it grows. */
struct prefix {
  const struct decc_net *net;
  int entry;
  struct decc_sums sums;
  int sent, reading, never; /* computed tensors that cross; cloud nodes that read the entry; what is forbidden */
  size_t memory;
};

static bool is_input(const struct decc_net *net, int v) {
  return braid_graph_node(net->st->graph, v)->op == BRAID_OP_INPUT;
}

static bool reads(const struct braid_node *node, int id) {
  for (int k = 0; k < node->n_in && id >= 0; k++)
    if (node->in[k] == id) return true;
  return false;
}

static bool is_wanted_above(const struct decc_net *net, int v) {
  return is_delivered(net->st->graph, v, net->st->goal->deliver, BRAID_CLOUD);
}

/* +1: v's tensor begins to cross, -1: it no longer does. */
static void count_crossing(struct prefix *p, int v, int sign) {
  if (p->net->st->up[v] == COST_NEVER)
    p->never += sign;
  else
    p->sums.up += sign * p->net->st->up[v];
  if (!is_input(p->net, v)) p->sent += sign;
}

static void count_cloud(struct prefix *p, int v, int sign) {
  const struct stages *st = p->net->st;
  const struct braid_node *node = braid_graph_node(st->graph, v);
  p->sums.cloud += sign * st->work[BRAID_CLOUD][v];
  if (is_delivered(st->graph, v, st->goal->deliver, BRAID_EDGE)) p->sums.down += sign * st->down[v];
  if (st->pinned[v]) p->never += sign;
  if (reads(node, p->entry)) p->reading += sign;
}

/* Everything in the cloud, inputs apart. */
static struct prefix empty_prefix(const struct decc_net *net, const struct braid_branch *branch, int entry) {
  struct prefix p = {.net = net, .entry = entry};
  for (int i = 0; i < branch->n_nodes; i++) {
    int v = branch->node[i];
    if (!is_input(net, v))
      count_cloud(&p, v, 1);
    else if (braid_graph_node(net->st->graph, v)->n_readers > 0 || is_wanted_above(net, v))
      count_crossing(&p, v, 1);
    if (is_input(net, v)) p.memory += net->st->memory[v];
  }
  return p;
}

/* All that reads the node follows it, all that it reads is on the edge: what it is the last reader of stays there. */
static void move_to_edge(struct prefix *p, int first, int v) {
  const struct stages *st = p->net->st;
  const struct braid_node *node = braid_graph_node(st->graph, v);
  count_cloud(p, v, -1);
  p->sums.edge += st->work[BRAID_EDGE][v];
  p->memory += st->memory[v];
  if (st->away[v]) p->never++;
  if (node->n_readers > 0 || is_wanted_above(p->net, v)) count_crossing(p, v, 1);
  for (int k = 0; k < node->n_in; k++) {
    int u = node->in[k];
    bool again = false;
    for (int j = 0; j < k; j++) again |= node->in[j] == u;
    if (!braid_is_node(u) || again || u < first || u == p->entry || is_wanted_above(p->net, u)) continue;
    const struct braid_node *read = braid_graph_node(st->graph, u);
    if (read->reader[read->n_readers - 1] == v) count_crossing(p, u, -1);
  }
}

static enum braid_status add_prefix(const struct prefix *p, const struct decc_fork *fork, struct decc_branch *list,
                                    int n_edge) {
  if (p->never > 0 || (p->reading > 0 && fork->entry_up == COST_NEVER)) return BRAID_OK;
  struct decc_sums sums = p->sums;
  sums.computed = p->sent > 0;
  sums.reads_entry = p->reading > 0;
  struct decc_option option = {.fork = -1, .n_edge = n_edge, .reads_entry = sums.reads_entry};
  option.job = decc_plain_job(p->net, &sums);
  option.memory = p->net->st->goal->edge_memory > 0 ? p->memory : 0;
  return decc_add_option(p->net, list, &option);
}

static enum braid_status add_prefixes(const struct decc_net *net, const struct decc_fork *fork,
                                      struct decc_branch *list) {
  const struct braid_branch *branch = list->branch;
  struct prefix p = empty_prefix(net, branch, fork->block->entry);
  BRAID_TRY(add_prefix(&p, fork, list, 0));
  for (int i = 0; i < branch->n_nodes; i++) {
    if (is_input(net, branch->node[i])) continue;
    move_to_edge(&p, branch->node[0], branch->node[i]);
    BRAID_TRY(add_prefix(&p, fork, list, i + 1));
  }
  return BRAID_OK;
}

/* -------------------------------------------------------------------------------------------- nested forks */

static enum braid_status fill_fork(const struct decc_net *net, struct decc_fork *fork);

/* What of the branch lies before and after a nested block. Joints are on every path, so ids tell. */
static bool sum_around(const struct decc_net *net, const struct braid_branch *branch, const struct braid_block *nested,
                       struct decc_sums sums[2], size_t *memory) {
  const struct stages *st = net->st;
  for (int i = 0; i < branch->n_nodes; i++) {
    int v = branch->node[i];
    bool before = nested->entry >= 0 && v <= nested->entry, after = nested->exit >= 0 && v >= nested->exit;
    if ((before && st->away[v]) || (after && st->pinned[v])) return false;
    if (before || is_input(net, v)) *memory += st->memory[v];
    if (before) sums[0].edge += st->work[BRAID_EDGE][v];
    if (before && v != nested->entry && is_wanted_above(net, v) && st->up[v] < COST_NEVER) sums[0].up += st->up[v];
    if (!after) continue;
    sums[1].cloud += st->work[BRAID_CLOUD][v];
    if (is_delivered(st->graph, v, st->goal->deliver, BRAID_EDGE)) sums[1].down += st->down[v];
  }
  return true;
}

static enum braid_status add_fork(const struct decc_net *net, const struct decc_fork *around, struct decc_branch *list,
                                  int number) {
  struct decc_fork *fork = &list->fork[number];
  struct decc_sums sums[2] = {{0}, {0}};
  size_t memory = 0, inside = 0;
  fork->block = &list->branch->block[number];
  int entry = fork->block->entry;
  if (!sum_around(net, list->branch, fork->block, sums, &memory)) return BRAID_OK;
  fork->inherited = entry == around->block->entry;
  fork->entry_up = fork->inherited ? around->entry_up : net->st->up[entry];
  fork->entry_ready = entry >= 0 && is_input(net, entry) ? DECC_NONE : sums[0].edge;
  enum braid_status status = fill_fork(net, fork);
  if (status == BRAID_ENOTFOUND) return BRAID_OK; /* a nested branch can be nowhere: so this fork is not cut */
  BRAID_TRY(status);
  for (int i = 0; i < list->branch->n_nodes; i++) { /* inputs inside are counted by the nested branches */
    int v = list->branch->node[i];
    if (is_input(net, v) && v > entry && (fork->block->exit < 0 || v < fork->block->exit)) inside += net->st->memory[v];
  }
  return decc_add_ways(net, list, number, &sums[0], &sums[1], memory - inside);
}

static enum braid_status fill_options(const struct decc_net *net, const struct decc_fork *fork,
                                      struct decc_branch *list) {
  BRAID_TRY(add_prefixes(net, fork, list));
  if (list->branch->n_blocks > 0) {
    list->fork = braid_calloc((size_t)list->branch->n_blocks, sizeof *list->fork);
    if (!list->fork) return braid_fail(BRAID_ENOMEM, "%d nested blocks", list->branch->n_blocks);
    list->n_forks = list->branch->n_blocks;
  }
  for (int i = 0; i < list->n_forks; i++) BRAID_TRY(add_fork(net, fork, list, i));
  if (list->n == 0) return braid_fail(BRAID_ENOTFOUND, "a branch that can be nowhere");
  decc_thin(list, net->limits->options);
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- twins */

/* Operands outside of the branch are the block's entry or constants. */
static bool same_operands(const struct braid_graph *graph, int a, int b, int first_a, int first_b, int entry) {
  const struct braid_node *x = braid_graph_node(graph, a), *y = braid_graph_node(graph, b);
  if (x->n_in != y->n_in || x->n_readers != y->n_readers) return false;
  for (int k = 0; k < x->n_in; k++) {
    bool inner_x = braid_is_node(x->in[k]) && x->in[k] != entry, inner_y = braid_is_node(y->in[k]) && y->in[k] != entry;
    if (inner_x != inner_y || (inner_x && x->in[k] - first_a != y->in[k] - first_b)) return false;
    if (!inner_x && (x->in[k] == entry) != (y->in[k] == entry)) return false;
  }
  return true;
}

static bool same_costs(const struct stages *st, int a, int b) {
  return st->work[0][a] == st->work[0][b] && st->work[1][a] == st->work[1][b] && st->up[a] == st->up[b] &&
         st->down[a] == st->down[b] && st->memory[a] == st->memory[b] && st->pinned[a] == st->pinned[b] &&
         st->away[a] == st->away[b];
}

/* Ids may differ by a constant only: views that are built one after the other. */
static bool are_twins(const struct stages *st, const struct braid_branch *a, const struct braid_branch *b, int entry) {
  if (a->n_nodes != b->n_nodes) return false;
  for (int i = 0; i < a->n_nodes; i++) {
    int x = a->node[i], y = b->node[i];
    const struct braid_node *s = braid_graph_node(st->graph, x), *t = braid_graph_node(st->graph, y);
    if (x - a->node[0] != y - b->node[0] || (s->op == BRAID_OP_INPUT) != (t->op == BRAID_OP_INPUT)) return false;
    if (s->is_output != t->is_output || !same_costs(st, x, y)) return false;
    if (!same_operands(st->graph, x, y, a->node[0], b->node[0], entry)) return false;
  }
  return true;
}

static int find_twin(const struct stages *st, const struct decc_fork *fork, int i) {
  for (int j = i - 1; j >= 0; j--)
    if (are_twins(st, fork->branch[j].branch, fork->branch[i].branch, fork->block->entry)) return j;
  return -1;
}

/* --------------------------------------------------------------------------------------------------- forks */

/* Branches without nodes have nothing to decide, but the exit may read the entry through them. An entry that is wanted
 * in the cloud, as a result, is sent just so. */
static enum braid_status fill_fork(const struct decc_net *net, struct decc_fork *fork) {
  const struct braid_block *block = fork->block;
  fork->branch = braid_calloc((size_t)block->n_branches, sizeof *fork->branch);
  if (!fork->branch) return braid_fail(BRAID_ENOMEM, "a block of %d branches", block->n_branches);
  fork->exit_reads = !fork->inherited && block->entry >= 0 && is_wanted_above(net, block->entry);
  for (int i = 0; i < block->n_branches; i++) {
    if (block->branch[i].n_nodes == 0) fork->exit_reads |= block->entry >= 0 && block->exit >= 0;
    if (block->branch[i].n_nodes == 0) continue;
    if (fork->n_branches == DECC_BRANCHES_MAX)
      return braid_fail(BRAID_ENOTFOUND, "more than %d branches", DECC_BRANCHES_MAX);
    struct decc_branch *list = &fork->branch[fork->n_branches++];
    list->branch = &block->branch[i];
    list->twin = find_twin(net->st, fork, fork->n_branches - 1);
    if (list->twin < 0) {
      BRAID_TRY(fill_options(net, fork, list));
      continue;
    }
    const struct decc_branch *twin = &fork->branch[list->twin];
    list->n = twin->n;
    list->option = twin->option;
    list->n_forks = twin->n_forks;
    list->fork = twin->fork;
  }
  if (fork->exit_reads && fork->entry_up == COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND, "the block's entry may not leave the edge");
  return BRAID_OK;
}

static void free_fork(struct decc_fork *fork) {
  for (int i = 0; i < fork->n_branches; i++) {
    struct decc_branch *list = &fork->branch[i];
    if (list->twin >= 0) continue;
    for (int j = 0; j < list->n; j++) braid_free(list->option[j].step);
    for (int j = 0; j < list->n_forks; j++) free_fork(&list->fork[j]);
    braid_free(list->option);
    braid_free(list->fork);
  }
  braid_free(fork->branch);
}

/* ---------------------------------------------------------------------------------------------- the block */

static void place_block(const struct decc_net *net, const struct braid_block *block, struct decc_block *b) {
  const struct stages *st = net->st;
  *b = (struct decc_block){.net = net, .first = block->entry + 1, .end = block->exit >= 0 ? block->exit : st->n};
  b->fork.block = block;
  b->up_before = block->entry >= 0 ? net->up_head[block->entry] : 0;
  b->edge_before = block->entry >= 0 ? net->edge_end[block->entry] : 0;
  b->cloud_after = block->exit >= 0 ? net->cloud_tail[block->exit] : 0;
  b->down_after = block->exit >= 0 ? net->down_tail[b->end] : 0;
  b->memory_before = st->goal->edge_memory > 0 ? net->memory[b->first] : 0;
}

int64_t decc_block_bound_ns(const struct decc_net *net, const struct braid_block *block) {
  struct decc_block b;
  const struct stages *st = net->st;
  place_block(net, block, &b);
  if (net->away[b.first] > 0 || net->pinned[st->n] > net->pinned[b.end]) return COST_NEVER;
  if (st->goal->edge_memory > 0 && b.memory_before > st->goal->edge_memory) return COST_NEVER;
  if (net->throughput)
    return max_ns(max_ns(b.edge_before / st->costs->edge_workers, b.cloud_after / st->costs->cloud_workers),
                  max_ns(b.up_before, b.down_after));
  if (block->exit < 0) return b.edge_before;
  return b.edge_before + net->up_delay + b.cloud_after + b.down_after + net->down_delay;
}

static int machines(const struct decc_block *b, enum braid_site site) {
  int n = cost_workers(b->net->st->costs, site);
  if (b->net->throughput) return 1; /* work adds up */
  return n < DECC_MACHINES ? n : DECC_MACHINES;
}

enum braid_status decc_block_create(const struct decc_net *net, const struct braid_block *block,
                                    struct decc_block **out) {
  if (decc_block_bound_ns(net, block) >= COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND, "the goal forbids to cut between these joints");
  struct decc_block *b = braid_malloc(sizeof *b);
  if (!b) return braid_fail(BRAID_ENOMEM, "a block of %d branches", block->n_branches);
  place_block(net, block, b);
  b->n_machines[0] = machines(b, BRAID_EDGE);
  b->n_machines[1] = machines(b, BRAID_CLOUD);
  b->fork.entry_up = block->entry >= 0 ? net->st->up[block->entry] : 0;
  b->fork.entry_ready = b->edge_before;
  enum braid_status status = fill_fork(net, &b->fork);
  if (status != BRAID_OK)
    decc_block_destroy(&b);
  else
    *out = b;
  return status;
}

void decc_block_destroy(struct decc_block **block) {
  if (!block || !*block) return;
  free_fork(&(*block)->fork);
  braid_free(*block);
  *block = NULL;
}

/* ------------------------------------------------------------------------------------------------ applying */

struct writer {
  const struct braid_graph *graph;
  uint8_t *site;
  int *rank;
  int next;
};

static void rank_node(struct writer *w, int v) {
  if (w->rank[v] < 0) w->rank[v] = w->next++;
}

static void put(struct writer *w, int v, bool edge) {
  edge |= braid_graph_node(w->graph, v)->op == BRAID_OP_INPUT;
  w->site[v] = edge ? BRAID_EDGE : BRAID_CLOUD;
}

static void write_steps(struct writer *w, const struct braid_block *block, const struct decc_fork *fork,
                        const struct decc_step *step, int n_steps);

/* The nested blocks of twins differ in nothing but ids: `branch` is whose nodes are written, `list` has the options. */
static void write_branch(struct writer *w, const struct braid_branch *branch, const struct decc_branch *list,
                         const struct decc_option *option) {
  const struct braid_block *nested = option->fork >= 0 ? &branch->block[option->fork] : NULL;
  for (int i = 0; i < branch->n_nodes; i++) {
    int v = branch->node[i];
    put(w, v, nested ? nested->entry >= 0 && v <= nested->entry : i < option->n_edge);
    if (!nested || (nested->entry >= 0 && v < nested->entry)) rank_node(w, v);
  }
  if (nested) write_steps(w, nested, &list->fork[option->fork], option->step, option->n_steps);
  for (int i = 0; i < branch->n_nodes; i++) rank_node(w, branch->node[i]);
}

/* A nested fork's own entry has its turn on the wire as one of the steps. */
static void write_steps(struct writer *w, const struct braid_block *block, const struct decc_fork *fork,
                        const struct decc_step *step, int n_steps) {
  const struct braid_branch *branch[DECC_BRANCHES_MAX];
  for (int i = 0, n = 0; i < block->n_branches; i++)
    if (block->branch[i].n_nodes > 0) branch[n++] = &block->branch[i];
  for (int i = 0; i < n_steps; i++) {
    if (step[i].branch < 0) {
      if (!fork->inherited) rank_node(w, block->entry);
      continue;
    }
    const struct decc_branch *list = &fork->branch[step[i].branch];
    write_branch(w, branch[step[i].branch], list, &list->option[step[i].option]);
  }
  if (!fork->inherited && block->entry >= 0) rank_node(w, block->entry);
}

void decc_apply(const struct decc_block *block, const struct decc_way *way, uint8_t *site, int *rank) {
  const struct stages *st = block->net->st;
  struct writer w = {.graph = st->graph, .site = site, .rank = rank};
  for (int v = 0; v < st->n; v++) rank[v] = -1;
  for (int v = 0; v < st->n; v++) {
    put(&w, v, v < block->first);
    if (v < block->first && v != block->fork.block->entry) rank_node(&w, v);
  }
  write_steps(&w, block->fork.block, &block->fork, way->step, way->n_steps);
  for (int v = 0; v < st->n; v++) rank_node(&w, v);
}
