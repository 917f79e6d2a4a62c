/* SPDX-License-Identifier: Apache-2.0
 * dsc [Bakhtiarnia et al., "Dynamic split computing", arXiv 2205.11269]: split only at natural bottlenecks, tensors
 * that alone lead from the edge's part to the cloud's and are smaller than the input as it would travel (a JPEG file
 * where its size is known); or not at all, at either end. Which of them is best is found anew for each rate, batch size
 * and load of the server by evaluating them all, and the split is changed on the fly. Batch sizes change the network
 * and its costs, so they need nothing here. The paper minimises latency; for throughput the same splits are ranked by
 * the period (our extension). */
#include "../internal.h"

#include <string.h>

struct search {
  const struct stages *st;
  uint8_t *best, *site;
  int64_t least;
};

static size_t input_bytes(const struct stages *st) {
  int n = 0;
  size_t bytes = 0;
  const int *in = braid_graph_inputs(st->graph, &n);
  for (int i = 0; i < n; i++) {
    size_t raw = cost_tensor_bytes(st->costs, st->graph, in[i]), jpeg = st->costs->jpeg_bytes;
    bytes += jpeg > 0 && jpeg < raw ? jpeg : raw;
  }
  return bytes;
}

/* Everything up to and including `last` on the edge; -1: the inputs only. */
static void consider(struct search *s, int last) {
  struct stage_sums sums;
  for (int v = 0; v < s->st->n; v++)
    s->site[v] = v <= last || braid_graph_node(s->st->graph, v)->op == BRAID_OP_INPUT ? BRAID_EDGE : BRAID_CLOUD;
  stages_sum(s->st, s->site, &sums);
  int64_t ns = stages_value_ns(s->st, &sums);
  if (ns >= s->least) return;
  s->least = ns;
  memcpy(s->best, s->site, (size_t)s->st->n);
}

enum braid_status dsc_cut(const struct stages *st, uint8_t *site) {
  struct search s = {st, site, braid_malloc((size_t)st->n), COST_NEVER};
  size_t least_bytes = input_bytes(st);
  int n = 0;
  const int *joint = braid_graph_joints(st->graph, &n);
  if (!s.site) return braid_fail(BRAID_ENOMEM, "cutting %d nodes", st->n);
  consider(&s, -1);
  for (int i = 0; i < n; i++)
    if (joint[i] >= 0 && cost_tensor_bytes(st->costs, st->graph, joint[i]) < least_bytes) consider(&s, joint[i]);
  consider(&s, st->n - 1);
  braid_free(s.site);
  if (s.least >= COST_NEVER)
    return braid_fail(BRAID_ENOTFOUND,
                      "neither a natural bottleneck nor an end fits the edge's memory, keeps private tensors there and "
                      "pinned nodes where they belong%s",
                      stages_ceiling_text(st));
  return BRAID_OK;
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  return stages_decide("dsc", dsc_cut, graph, costs, goal, out);
}

const struct braid_policy policy_dsc = {"dsc", "the best natural bottleneck or end, serial",
                                        "Bakhtiarnia et al., arXiv 2205.11269", decide};
