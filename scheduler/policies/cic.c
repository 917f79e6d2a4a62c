/* SPDX-License-Identifier: Apache-2.0
 * cic [after the abstract of Yang et al., "CIC: cooperative inference", IJCNN 2022; the rules below are our
 * reconstruction]: nearly all cuts can be ruled out once and for all, before the rate is known; what is left is so
 * little that it is evaluated anew for every rate and load.
 *
 * Candidates: every joint's prefix, both ends, and in each listed block every combination of a prefix of each branch.
 * Each costs fixed + load * cloud + lambda * bytes. Rules, all exact for the rates 0..infinity and the loads asked for:
 *   (a) in a branch, a longer prefix that sends no fewer bytes than a shorter one is dropped, where the nodes between
 *       take at least as long on the edge as in the cloud at every load (checked at both ends of the range of loads,
 *       between which costs are linear); elsewhere it stays;
 *   (b) the same against sending the block's input, which is charged in full, though other branches may send it anyway;
 *   (c) of all candidates that are left, those that are neither cheaper nor smaller than another at both ends of the
 *       range of loads; for a single load, those above the lower hull of (bytes, time).
 * A block with more than COMBINATIONS_MAX combinations after (a) and (b) keeps the lower hull of each branch only, and
 * if that is still too much its two joints: there the claim is smaller.
 *
 * For throughput (our extension) the candidates are the same, but not what survives: a longer prefix that sends more
 * may relieve the cloud. Rules (a) and (b) then want no stage to be longer, and all combinations are compared by the
 * period. There is nothing to be built in advance. */
#include "cic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void braid_cic_destroy(struct braid_cic **cic) {
  if (!cic || !*cic) return;
  for (int i = 0; i < (*cic)->n_cuts; i++) braid_free((*cic)->cut[i].site);
  braid_free((*cic)->cut);
  braid_free((*cic)->in_span);
  braid_free(*cic);
  *cic = NULL;
}

/* ------------------------------------------------------------------------------------------------- spans of loads */

static double ns_at(const struct braid_cut *cut, double load) {
  return (double)cut->fixed_ns + load * (double)cut->cloud_ns;
}

static int by_bytes(const void *a, const void *b) {
  const struct braid_cut *x = a, *y = b;
  if (x->up_bytes != y->up_bytes) return x->up_bytes < y->up_bytes ? -1 : 1;
  if (x->fixed_ns != y->fixed_ns) return x->fixed_ns < y->fixed_ns ? -1 : 1;
  return x->cloud_ns < y->cloud_ns ? -1 : x->cloud_ns > y->cloud_ns;
}

static double span_begin(const struct braid_cic *cic, int span) {
  return cic->load_min + (cic->load_max - cic->load_min) * span / BRAID_CIC_SPANS;
}

/* Is one of the cuts kept so far, which all send no more, no slower at both ends of the span? */
static bool is_beaten(const struct braid_cic *cic, const int *kept, int n, const struct braid_cut *cut, double from,
                      double to) {
  for (int i = n - 1; i >= 0; i--) {
    const struct braid_cut *other = &cic->cut[kept[i]];
    if (ns_at(other, from) <= ns_at(cut, from) && ns_at(other, to) <= ns_at(cut, to)) return true;
  }
  return false;
}

/* Rule (c) once more for each of BRAID_CIC_SPANS parts of the range of loads; of a single load there are no parts. */
enum braid_status cic_divide(struct braid_cic *cic) {
  size_t n = (size_t)cic->n_cuts;
  qsort(cic->cut, n, sizeof *cic->cut, by_bytes);
  cic->in_span = braid_malloc(BRAID_CIC_SPANS * n * sizeof *cic->in_span);
  if (!cic->in_span) return braid_fail(BRAID_ENOMEM, "%zu cuts", n);
  int spans = cic->load_max > cic->load_min ? BRAID_CIC_SPANS : 1;
  for (int span = 0, end = 0; span < spans; span++) {
    int *kept = cic->in_span + end, n_kept = 0;
    for (int i = 0; i < cic->n_cuts; i++)
      if (!is_beaten(cic, kept, n_kept, &cic->cut[i], span_begin(cic, span), span_begin(cic, span + 1)))
        kept[n_kept++] = i;
    end += n_kept;
    cic->first_in_span[span + 1] = end;
  }
  return BRAID_OK;
}

int braid_cic_find(const struct braid_cic *cic, double bits_per_s, double load) {
  double width = cic->load_max - cic->load_min, at = width > 0 ? (load - cic->load_min) / width * BRAID_CIC_SPANS : 0;
  int span = at < 1 ? 0 : at < BRAID_CIC_SPANS ? (int)at : BRAID_CIC_SPANS - 1, best = 0;
  double least = (double)INFINITY, ns_per_byte = 8e9 / bits_per_s;
  for (int i = cic->first_in_span[span]; i < cic->first_in_span[span + 1]; i++) {
    const struct braid_cut *cut = &cic->cut[cic->in_span[i]];
    double ns = ns_at(cut, load) + (cut->up_bytes > 0 ? ns_per_byte * (double)cut->up_bytes : 0);
    if (ns >= least) continue;
    least = ns;
    best = cic->in_span[i];
  }
  return best;
}

/* ---------------------------------------------------------------------------------------------- the policy */

static enum braid_status least_latency(const struct stages *st, uint8_t *site) {
  struct braid_cic *cic = NULL;
  double load = st->costs->cloud_load > 0 ? st->costs->cloud_load : 1;
  int64_t least = COST_NEVER;
  BRAID_TRY(braid_cic_build(st->graph, st->costs, st->goal, load, load, &cic));
  for (int i = 0; i < cic->n_cuts; i++) {
    struct stage_sums sums;
    stages_sum(st, cic->cut[i].site, &sums);
    int64_t ns = stages_latency_ns(st, &sums);
    if (ns >= least) continue;
    least = ns;
    memcpy(site, cic->cut[i].site, (size_t)st->n);
  }
  braid_cic_destroy(&cic);
  return BRAID_OK; /* all survivors keep the goal */
}

enum braid_status cic_cut(const struct stages *st, uint8_t *site) {
  return st->goal->objective == BRAID_THROUGHPUT ? cic_best_period(st, site) : least_latency(st, site);
}

static enum braid_status decide(const struct braid_graph *graph, const struct braid_costs *costs,
                                const struct braid_goal *goal, struct braid_plan **out) {
  return stages_decide("cic", cic_cut, graph, costs, goal, out);
}

const struct braid_policy policy_cic = {"cic", "the few cuts that are best for some rate, evaluated anew, serial",
                                        "Yang et al., IJCNN 2022", decide};
