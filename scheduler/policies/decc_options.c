/* SPDX-License-Identifier: Apache-2.0
 * Partition points. A branch may be cut after any prefix of its nodes (ids are a topological order, so prefixes are
 * closed), from "nothing on the edge" to "all of it"; a branch that forks again may also be cut in a nested block, with
 * a partition point of its own in each nested branch. Everything is charged by what it adds to edge, uplink, cloud and
 * downlink. */
#include "decc.h"

#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 1024 /* generated per branch */
#define PRODUCT_MAX 2000 /* combinations in one nested block */
#define THIN_TO 24       /* options the search looks at, per branch */

/* ------------------------------------------------------------------------------------------ one more option */

static bool sum_up(const struct decc_block *b, const struct braid_branch *branch, struct decc_option *o) {
  const struct stages *st = b->st;
  for (int i = 0; i < branch->n_nodes; i++) {
    int v = branch->node[i];
    const struct braid_node *node = braid_graph_node(st->graph, v);
    bool crosses = false;
    if (b->site[v] == BRAID_CLOUD) {
      if (st->pinned[v]) return false;
      o->cloud += b->time[BRAID_CLOUD][v];
      if (node->is_output) o->down += st->down[v];
      for (int k = 0; k < node->n_in; k++) o->reads_entry |= b->block->entry >= 0 && node->in[k] == b->block->entry;
      continue;
    }
    if (st->away[v]) return false;
    o->edge += b->time[BRAID_EDGE][v];
    o->memory += st->memory[v];
    for (int r = 0; r < node->n_readers; r++) crosses |= b->site[node->reader[r]] == BRAID_CLOUD;
    if (crosses && st->up[v] == COST_NEVER) return false;
    if (crosses) o->up += st->up[v];
  }
  return !(o->reads_entry && b->entry_up == COST_NEVER);
}

/* The branch as it now stands in b->site. */
static enum braid_status add_option(struct decc_block *b, struct decc_branch *list) {
  struct decc_option o = {0};
  const struct braid_branch *branch = list->branch;
  if (list->n >= OPTIONS_MAX || !sum_up(b, branch, &o)) return BRAID_OK;
  if (list->n == list->room) {
    int room = list->room ? 2 * list->room : 32;
    struct decc_option *grown = braid_realloc(list->option, (size_t)room * sizeof *grown);
    if (!grown) return braid_fail(BRAID_ENOMEM, "%d partition points", room);
    list->option = grown;
    list->room = room;
  }
  o.site = braid_malloc((size_t)branch->n_nodes);
  if (!o.site) return braid_fail(BRAID_ENOMEM, "a partition point of %d nodes", branch->n_nodes);
  for (int i = 0; i < branch->n_nodes; i++) o.site[i] = b->site[branch->node[i]];
  list->option[list->n++] = o;
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------- which options */

static void place(struct decc_block *b, int v, enum braid_site site) {
  bool input = braid_graph_node(b->st->graph, v)->op == BRAID_OP_INPUT;
  b->site[v] = input ? BRAID_EDGE : (uint8_t)site;
}

static void place_prefix(struct decc_block *b, const struct braid_branch *branch, int n_edge) {
  for (int i = 0; i < branch->n_nodes; i++) place(b, branch->node[i], i < n_edge ? BRAID_EDGE : BRAID_CLOUD);
}

static enum braid_status add_prefixes(struct decc_block *b, struct decc_branch *list) {
  for (int n_edge = 0; n_edge <= list->branch->n_nodes; n_edge++) {
    int next = n_edge > 0 ? list->branch->node[n_edge - 1] : -1;
    if (next >= 0 && braid_graph_node(b->st->graph, next)->op == BRAID_OP_INPUT) continue; /* the same as the last */
    place_prefix(b, list->branch, n_edge);
    BRAID_TRY(add_option(b, list));
  }
  return BRAID_OK;
}

/* What of the branch lies before the nested block goes to the edge, the rest to the cloud. */
static void place_around(struct decc_block *b, const struct braid_branch *branch, const struct braid_block *nested) {
  for (int i = 0; i < branch->n_nodes; i++) place(b, branch->node[i], BRAID_EDGE);
  if (nested->exit < 0) return;
  for (int i = 0; i < branch->n_nodes; i++) {
    int v = branch->node[i];
    const struct braid_node *node = braid_graph_node(b->st->graph, v);
    bool after = v == nested->exit;
    for (int k = 0; k < node->n_in; k++) /* ids are topological: operands in this branch have been placed */
      after |= braid_is_node(node->in[k]) && b->part[node->in[k]] == DECC_INSIDE && b->site[node->in[k]] == BRAID_CLOUD;
    if (after) place(b, v, BRAID_CLOUD);
  }
}

static enum braid_status add_nested(struct decc_block *b, struct decc_branch *list, const struct braid_block *nested) {
  int64_t product = 1;
  int point[DECC_BRANCHES_MAX] = {0};
  if (nested->n_branches > DECC_BRANCHES_MAX) return BRAID_OK;
  for (int i = 0; i < nested->n_branches && product <= PRODUCT_MAX; i++) product *= nested->branch[i].n_nodes + 1;
  if (product > PRODUCT_MAX) return BRAID_OK;
  place_around(b, list->branch, nested);
  for (;;) {
    for (int i = 0; i < nested->n_branches; i++) place_prefix(b, &nested->branch[i], point[i]);
    BRAID_TRY(add_option(b, list));
    int i = 0; /* count up, the first branch fastest */
    while (i < nested->n_branches && ++point[i] > nested->branch[i].n_nodes) point[i++] = 0;
    if (i == nested->n_branches) return BRAID_OK;
  }
}

static enum braid_status list_options(struct decc_block *b, struct decc_branch *list) {
  BRAID_TRY(add_prefixes(b, list));
  for (int i = 0; i < list->branch->n_blocks; i++) BRAID_TRY(add_nested(b, list, &list->branch->block[i]));
  place_prefix(b, list->branch, 0);
  if (list->n == 0) return braid_fail(BRAID_ENOTFOUND, "a branch that can be nowhere");
  return BRAID_OK;
}

/* --------------------------------------------------------------------------------------------------- pruning */

static bool beats(const struct decc_option *a, const struct decc_option *b) {
  return a->edge <= b->edge && a->up <= b->up && a->cloud <= b->cloud && a->down <= b->down && a->memory <= b->memory &&
         a->reads_entry <= b->reads_entry;
}

static void drop_option(struct decc_branch *list, int i) {
  braid_free(list->option[i].site);
  memmove(&list->option[i], &list->option[i + 1], (size_t)(--list->n - i) * sizeof *list->option);
}

static void drop_beaten(struct decc_branch *list) {
  for (int i = list->n - 1; i >= 0; i--)
    for (int j = 0; j < list->n; j++)
      if (j != i && beats(&list->option[j], &list->option[i])) {
        drop_option(list, i);
        break;
      }
}

/* Sends no fewer bytes after more edge time, though it leaves the cloud less to do: rarely worth it, so these go first
 * when there are too many. */
static bool is_step_back(const struct decc_branch *list, int i) {
  for (int j = 0; j < list->n; j++)
    if (j != i && list->option[j].edge <= list->option[i].edge && list->option[j].up <= list->option[i].up &&
        list->option[j].reads_entry <= list->option[i].reads_entry &&
        (list->option[j].edge < list->option[i].edge || j < i))
      return true;
  return false;
}

static void thin(struct decc_branch *list) {
  for (int i = list->n - 1; i >= 0 && list->n > THIN_TO; i--)
    if (is_step_back(list, i)) drop_option(list, i);
  for (int i = list->n - 2; i > 0 && list->n > THIN_TO; i -= 2) drop_option(list, i); /* then every other one */
  while (list->n > THIN_TO) drop_option(list, list->n / 2);
}

static int by_edge_time(const void *a, const void *b) {
  const struct decc_option *x = a, *y = b;
  if (x->edge != y->edge) return x->edge < y->edge ? -1 : 1;
  if (x->up != y->up) return x->up < y->up ? -1 : 1;
  return x->cloud < y->cloud ? -1 : x->cloud > y->cloud; /* equal in all: beaten by one another, one is left */
}

void decc_prune(struct decc_block *b) {
  for (int i = 0; i < b->n_branches; i++) {
    drop_beaten(&b->branch[i]);
    qsort(b->branch[i].option, (size_t)b->branch[i].n, sizeof *b->branch[i].option, by_edge_time);
    thin(&b->branch[i]);
  }
}

/* ---------------------------------------------------------------------------------------------- around the block */

static void mark_parts(struct decc_block *b) {
  const struct braid_graph *graph = b->st->graph;
  for (int i = 0; i < b->block->n_branches; i++)
    for (int j = 0; j < b->block->branch[i].n_nodes; j++) b->part[b->block->branch[i].node[j]] = DECC_INSIDE;
  for (int v = 0; v < b->st->n && b->block->exit >= 0; v++) {
    const struct braid_node *node = braid_graph_node(graph, v);
    bool after = v == b->block->exit;
    for (int k = 0; k < node->n_in; k++) after |= braid_is_node(node->in[k]) && b->part[node->in[k]] == DECC_AFTER;
    if (after) b->part[v] = DECC_AFTER;
  }
}

static enum braid_status sum_around(struct decc_block *b) {
  const struct stages *st = b->st;
  for (int v = 0; v < st->n; v++) {
    place(b, v, b->part[v] == DECC_BEFORE ? BRAID_EDGE : BRAID_CLOUD);
    if (b->part[v] == DECC_BEFORE) {
      if (st->away[v]) return braid_fail(BRAID_ENOTFOUND, "what comes before the block must be in the cloud");
      b->edge_before += b->time[BRAID_EDGE][v];
      b->memory_before += st->memory[v];
    } else if (b->part[v] == DECC_AFTER) {
      if (st->pinned[v]) return braid_fail(BRAID_ENOTFOUND, "what follows the block may not leave the edge");
      b->cloud_after += b->time[BRAID_CLOUD][v];
      if (braid_graph_node(st->graph, v)->is_output) b->down_after += st->down[v];
    }
  }
  int entry = b->block->entry;
  b->entry_up = entry >= 0 ? st->up[entry] : 0;
  for (int i = 0; entry >= 0 && i < braid_graph_node(st->graph, entry)->n_readers; i++)
    b->exit_reads_entry |= b->part[braid_graph_node(st->graph, entry)->reader[i]] == DECC_AFTER;
  if (b->exit_reads_entry && b->entry_up == COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND, "the block's entry may not leave the edge");
  return BRAID_OK;
}

/* Branches without nodes have nothing to decide. */
static enum braid_status list_branches(struct decc_block *b) {
  b->branch = braid_calloc((size_t)b->block->n_branches, sizeof *b->branch);
  if (!b->branch) return braid_fail(BRAID_ENOMEM, "a block of %d branches", b->block->n_branches);
  for (int i = 0; i < b->block->n_branches; i++) {
    if (b->block->branch[i].n_nodes == 0) continue;
    if (b->n_branches == DECC_BRANCHES_MAX)
      return braid_fail(BRAID_ENOTFOUND, "more than %d branches", DECC_BRANCHES_MAX);
    struct decc_branch *list = &b->branch[b->n_branches++];
    list->branch = &b->block->branch[i];
    BRAID_TRY(list_options(b, list));
  }
  return BRAID_OK;
}

enum braid_status decc_block_create(const struct stages *st, const struct braid_block *block, struct decc_block **out) {
  struct decc_block *b = braid_calloc(1, sizeof *b);
  if (!b) return braid_fail(BRAID_ENOMEM, "a block of %d branches", block->n_branches);
  int64_t *const *time = st->goal->objective == BRAID_THROUGHPUT ? st->work : st->time;
  b->st = st;
  b->block = block;
  b->time[0] = time[0];
  b->time[1] = time[1];
  b->site = braid_calloc((size_t)st->n, 1);
  b->part = braid_calloc((size_t)st->n, 1);
  enum braid_status status = b->site && b->part ? BRAID_OK : braid_fail(BRAID_ENOMEM, "a block of %d nodes", st->n);
  if (status == BRAID_OK) {
    mark_parts(b);
    status = sum_around(b);
  }
  if (status == BRAID_OK) status = list_branches(b);
  if (status != BRAID_OK)
    decc_block_destroy(&b);
  else
    *out = b;
  return status;
}

void decc_block_destroy(struct decc_block **block) {
  if (!block || !*block) return;
  struct decc_block *b = *block;
  for (int i = 0; i < b->n_branches; i++) {
    for (int j = 0; j < b->branch[i].n; j++) braid_free(b->branch[i].option[j].site);
    braid_free(b->branch[i].option);
  }
  braid_free(b->branch);
  braid_free(b->site);
  braid_free(b->part);
  braid_free(b);
  *block = NULL;
}
