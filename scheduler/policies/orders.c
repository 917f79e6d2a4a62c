/* SPDX-License-Identifier: Apache-2.0
 * In which order branches go first. With a closed edge set at most one of the top-level blocks is cut, because whatever
 * precedes a joint on the edge is on the edge as well; the same holds for the blocks nested in each branch. The cut
 * blocks with their permutations are digits of one odometer. */
#include "orders.h"

#include <string.h>

#define BLOCKS_MAX 16
#define BRANCHES_MAX 32

struct digit {
  const struct braid_block *block;
  int n, order[BRANCHES_MAX]; /* of branches with nodes */
};

struct orders {
  const struct braid_graph *graph;
  const uint8_t *site;
  int n_digits;
  struct digit digit[BLOCKS_MAX];
  uint8_t *ranked;
  int *rank;
  int next;
};

/* ------------------------------------------------------------------------------------------- the cut blocks */

/* The cut goes through it, or along its branches: its entry is on the edge and its exit in the cloud. */
static bool is_cut(const struct orders *o, const struct braid_block *block) {
  if (block->entry >= 0 && o->site[block->entry] == BRAID_CLOUD) return false;
  if (block->exit >= 0 && o->site[block->exit] == BRAID_EDGE) return false;
  for (int i = 0; i < block->n_branches; i++)
    if (block->branch[i].n_nodes > 0) return true;
  return false;
}

static void find_cut_blocks(struct orders *o, const struct braid_block *blocks, int n_blocks) {
  for (int b = 0; b < n_blocks; b++) {
    const struct braid_block *block = &blocks[b];
    if (!is_cut(o, block)) continue;
    if (o->n_digits < BLOCKS_MAX && block->n_branches <= BRANCHES_MAX) {
      struct digit *d = &o->digit[o->n_digits++];
      *d = (struct digit){.block = block};
      for (int i = 0; i < block->n_branches; i++)
        if (block->branch[i].n_nodes > 0) d->order[d->n++] = i;
    }
    for (int i = 0; i < block->n_branches; i++) find_cut_blocks(o, block->branch[i].block, block->branch[i].n_blocks);
  }
}

/* The next permutation in lexicographic order; the first one again after the last. */
static bool next_permutation(struct digit *d) {
  int *p = d->order, i = d->n - 2, j = d->n - 1;
  while (i >= 0 && p[i] > p[i + 1]) i--;
  if (i >= 0) {
    while (p[j] < p[i]) j--;
    int swap = p[i];
    p[i] = p[j];
    p[j] = swap;
  }
  for (int l = i + 1, r = d->n - 1; l < r; l++, r--) {
    int swap = p[l];
    p[l] = p[r];
    p[r] = swap;
  }
  return i >= 0;
}

static bool next_orders(struct orders *o) {
  for (int i = 0; i < o->n_digits; i++)
    if (next_permutation(&o->digit[i])) return true;
  return false;
}

/* ------------------------------------------------------------------------------------------------- ranking */

static void rank_node(struct orders *o, int v) {
  if (o->ranked[v]) return;
  o->ranked[v] = 1;
  o->rank[v] = o->next++;
}

static bool reads_in_cloud(const struct orders *o, const struct braid_branch *branch, int entry) {
  for (int j = 0; j < branch->n_nodes; j++) {
    const struct braid_node *node = braid_graph_node(o->graph, branch->node[j]);
    for (int k = 0; k < node->n_in && o->site[branch->node[j]] == BRAID_CLOUD; k++)
      if (node->in[k] == entry) return true;
  }
  return false;
}

static bool holds(const struct braid_block *block, int v) {
  for (int i = 0; i < block->n_branches; i++)
    for (int j = 0; j < block->branch[i].n_nodes; j++)
      if (block->branch[i].node[j] == v) return true;
  return false;
}

/* Of these blocks the cut one that v is in, or (`entry`) is the entry of. There are few digits and many blocks. */
static const struct digit *digit_with(const struct orders *o, const struct braid_block *blocks, int n, int v,
                                      bool entry) {
  for (int i = 0; i < o->n_digits; i++) {
    const struct braid_block *block = o->digit[i].block;
    if (block < blocks || block >= blocks + n) continue;
    if (entry ? block->entry == v : holds(block, v)) return &o->digit[i];
  }
  return NULL;
}

static void rank_nodes(struct orders *o, const int *node, int n, const struct braid_block *blocks, int n_blocks);

static void rank_block(struct orders *o, const struct digit *d) {
  int entry = d->block->entry;
  for (int i = 0; i < d->n; i++) {
    const struct braid_branch *branch = &d->block->branch[d->order[i]];
    if (entry >= 0 && reads_in_cloud(o, branch, entry)) rank_node(o, entry);
    rank_nodes(o, branch->node, branch->n_nodes, branch->block, branch->n_blocks);
  }
  if (entry >= 0) rank_node(o, entry);
}

/* `node` NULL: all ids below n. Entries of cut blocks are ranked by their block. */
static void rank_nodes(struct orders *o, const int *node, int n, const struct braid_block *blocks, int n_blocks) {
  for (int i = 0; i < n; i++) {
    int v = node ? node[i] : i;
    if (o->ranked[v]) continue;
    const struct digit *d = digit_with(o, blocks, n_blocks, v, false);
    if (d)
      rank_block(o, d);
    else if (!digit_with(o, blocks, n_blocks, v, true))
      rank_node(o, v);
  }
}

enum braid_status orders_each(const struct braid_graph *graph, const uint8_t *site, int most, int *rank,
                              orders_visit_fn *visit, void *ctx) {
  int n = braid_graph_size(graph), n_blocks = 0;
  const struct braid_block *blocks = braid_graph_blocks(graph, &n_blocks);
  struct orders o = {.graph = graph, .site = site, .rank = rank, .ranked = braid_malloc((size_t)n)};
  if (!o.ranked) return braid_fail(BRAID_ENOMEM, "ordering %d nodes", n);
  find_cut_blocks(&o, blocks, n_blocks);
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < most && status == BRAID_OK; i++) {
    memset(o.ranked, 0, (size_t)n);
    o.next = 0;
    rank_nodes(&o, NULL, n, blocks, n_blocks);
    for (int v = 0; v < n; v++) rank_node(&o, v); /* entries whose block has no branch in reach */
    status = visit(ctx, rank);
    if (!next_orders(&o)) break;
  }
  braid_free(o.ranked);
  return status;
}

void orders_turn(const uint8_t *site, int n, enum braid_site which, int *by_rank, int *rank) {
  for (int v = 0; v < n; v++) by_rank[rank[v]] = v;
  for (int low = 0, high = n - 1; low < high; low++, high--) {
    while (low < high && site[by_rank[low]] != which) low++;
    while (low < high && site[by_rank[high]] != which) high--;
    rank[by_rank[low]] = high;
    rank[by_rank[high]] = low;
  }
}
