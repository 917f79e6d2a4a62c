/* SPDX-License-Identifier: Apache-2.0
 * qdmp [Zhang et al., "Towards real-time cooperative deep inference over the cloud and edge end devices", IMWUT 2020]:
 * a cut need not be searched in the whole network, for it either lies at a joint or inside one block between two
 * neighbouring joints. Every joint cut is evaluated, and in every block a minimum cut restricted to it, all before the
 * block on the edge and all after it in the cloud; the best serial value wins.
 *   Exact over all closed sets that differ from a joint's prefix inside one block only; a joint is an ancestor or a
 * descendant of all nodes on the way from an input to a result, so these are all closed sets. Latency is what the paper
 * minimises. For throughput, and under a memory limit, no minimum cut is the best in its block: there the blocks'
 * closed sets are searched (best_cut.c), our extension, exact as far as that search says. */
#include "../best_cut.h"
#include "../region.h"

#include <string.h>

struct search {
  const struct stages *st;
  struct region *region;
  uint8_t *best, *site;
  int *block; /* free nodes */
  int64_t least;
};

static void consider(struct search *s) {
  struct stage_sums sums;
  stages_sum(s->st, s->site, &sums);
  int64_t ns = stages_value_ns(s->st, &sums);
  if (ns >= s->least) return;
  s->least = ns;
  memcpy(s->best, s->site, (size_t)s->st->n);
}

/* The prefix of joint `entry` (-1: of nothing) on the edge, the rest in the cloud; inputs are on the edge anyway. */
static bool start_from(struct search *s, int entry, int exit) {
  bool possible = true;
  for (int v = 0; v < s->st->n; v++) {
    s->site[v] = v <= entry || braid_graph_node(s->st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
    if ((v >= exit && s->st->pinned[v]) || (v <= entry && s->st->away[v])) possible = false;
  }
  return possible;
}

/* `exit` is the next joint, or n. */
static enum braid_status cut_block(struct search *s, int entry, int exit) {
  const struct stages *st = s->st;
  struct cut_costs costs = {st->time[BRAID_EDGE], st->time[BRAID_CLOUD], st->up, st->down,
                            st->pinned,           st->away,              st->goal->deliver};
  bool possible = start_from(s, entry, exit);
  int n = 0;
  consider(s);
  for (int v = entry + 1; v < exit; v++) s->block[n++] = v;
  if (!possible || n == 0) return BRAID_OK;
  BRAID_TRY(region_cut(s->region, &costs, s->block, n, s->site));
  consider(s);
  return BRAID_OK;
}

static enum braid_status search(struct search *s) {
  int n_joints = 0, entry = -1;
  const int *joint = braid_graph_joints(s->st->graph, &n_joints);
  for (int i = 0; i <= n_joints; i++) {
    int exit = i < n_joints ? joint[i] : s->st->n;
    if (exit < 0) continue; /* the virtual source or sink */
    BRAID_TRY(cut_block(s, entry, exit));
    entry = exit;
  }
  memset(s->site, BRAID_EDGE, (size_t)s->st->n);
  consider(s);
  bool complete;
  if (s->st->goal->objective == BRAID_THROUGHPUT || s->st->goal->edge_memory > 0)
    BRAID_TRY(best_cut_search(s->st, BEST_CUT_STEPS, &s->least, s->best, &complete));
  if (s->least >= COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND,
                      "no cut at a joint or inside one block fits the edge's memory, keeps private "
                      "tensors there and pinned nodes where they belong%s",
                      stages_ceiling_text(s->st));
  return BRAID_OK;
}

enum braid_status qdmp_cut(const struct stages *st, uint8_t *site) {
  struct search s = {.st = st, .best = site, .least = COST_NEVER};
  s.site = braid_malloc((size_t)st->n);
  s.block = braid_malloc((size_t)st->n * sizeof *s.block);
  enum braid_status status =
      s.site && s.block ? region_create(st->graph, &s.region) : braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  if (status == BRAID_OK) status = search(&s);
  region_destroy(&s.region);
  braid_free(s.site);
  braid_free(s.block);
  return status;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  return stages_decide("qdmp", qdmp_cut, graph, costs, goal, out);
}

const struct braid_policy policy_qdmp = {"qdmp", "cuts at joints, and minimum cuts inside one block, serial",
                                         "Zhang et al., IMWUT 2020", decide};
