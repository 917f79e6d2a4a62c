/* SPDX-License-Identifier: Apache-2.0 */
#include "grid_report.h"

#include <math.h>

static const char *const objective_name[] = {[BRAID_LATENCY] = "latency", [BRAID_THROUGHPUT] = "throughput"};

static json_t *cell_json(const struct grid_report *r, const struct grid_cell *c) {
  return json_pack("{s:s, s:f, s:f, s:f, s:f, s:b, s:s}", "model", r->names.name[c->net], "mbit", c->mbit, "ratio",
                   c->ratio, "load", c->load, "rtt_ms", c->rtt_ms, "private", c->private_input, "objective",
                   objective_name[c->objective]);
}

static json_t *comparison_json(const struct grid_report *r, const struct grid_comparison *c) {
  if (c->n == 0) return json_null();
  return json_pack("{s:I, s:f, s:f, s:o, s:f, s:o}", "cells", (json_int_t)c->n, "geomean", grid_mean(c), "best",
                   c->best.ratio, "best_cell", cell_json(r, &c->best.cell), "worst", c->worst.ratio, "worst_cell",
                   cell_json(r, &c->worst.cell));
}

static json_t *group_json(const struct grid_report *r, const struct grid_group *g) {
  return json_pack("{s:I, s:I, s:f, s:o, s:o}", "cells", (json_int_t)g->cells, "worse", (json_int_t)g->lost, "mean_gap",
                   g->found > 0 ? g->gap_sum / (double)g->found : 0, "others", comparison_json(r, &g->others), "dads",
                   comparison_json(r, &g->dads));
}

static json_t *tally_json(const struct braid_policy *policy, const struct grid_tally *t) {
  struct cli_stats us = cli_stats_of(t->decide_us, (int)t->found);
  json_t *row = json_pack("{s:s, s:I, s:I, s:b}", "policy", policy->name, "plans", (json_int_t)t->found, "best_in",
                          (json_int_t)t->leads, "other", grid_is_other(policy));
  if (t->found > 0)
    json_object_update_new(row, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "geomean_over_best",
                                          exp(t->log_over_best / (double)t->found), "worst_over_best",
                                          t->worst_over_best, "mean_gap", t->gap_sum / (double)t->found,
                                          "decide_us_p50", us.p50, "decide_us_p99", us.p99, "decide_us_max", us.max));
  return row;
}

static json_t *policies_json(const struct grid_summary *s, int k) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  json_t *list = json_array();
  int n = grid_policies(policy);
  for (int i = 0; i < n; i++) json_array_append_new(list, tally_json(policy[i], &s->tally[k][i]));
  return list;
}

static json_t *nets_json(const struct grid_report *r, int k) {
  json_t *list = json_array();
  for (int i = 0; i < r->names.n; i++) {
    json_t *net = group_json(r, &r->summary->by_net[2 * i + k]);
    json_object_set_new(net, "model", json_string(r->names.name[i]));
    json_array_append_new(list, net);
  }
  return list;
}

static json_t *objective_json(const struct grid_report *r, int k) {
  const struct grid_summary *s = r->summary;
  json_t *j = group_json(r, &s->all[k]);
  json_object_set_new(j, "objective", json_string(objective_name[k]));
  json_object_set_new(j, "private", group_json(r, &s->by_private[k][1]));
  json_object_set_new(j, "open", group_json(r, &s->by_private[k][0]));
  json_object_set_new(j, "by_model", nets_json(r, k));
  json_object_set_new(j, "policies", policies_json(s, k));
  return j;
}

static json_t *lost_json(const struct grid_report *r) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  json_t *list = json_array();
  (void)grid_policies(policy);
  for (int64_t i = 0; i < r->summary->n_lost; i++) {
    const struct grid_lost *l = &r->summary->lost[i];
    json_t *ratio = isinf(l->ratio) ? json_null() : json_real(l->ratio); /* null: braid has no plan */
    json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "cell", cell_json(r, &l->cell), "policy",
                                          policy[l->policy]->name, "ratio", ratio));
  }
  return list;
}

static json_t *wrong_json(const struct grid_report *r) {
  json_t *list = json_array();
  for (int64_t i = 0; i < r->summary->n_wrong; i++) {
    const struct grid_lost *l = &r->summary->wrong[i];
    json_array_append_new(list, json_pack("{s:o, s:s}", "cell", cell_json(r, &l->cell), "text", l->text));
  }
  return list;
}

json_t *grid_report_json(const struct grid_report *r) {
  json_t *objectives = json_array();
  for (int k = 0; k < 2; k++) json_array_append_new(objectives, objective_json(r, k));
  return json_pack("{s:s, s:i, s:i, s:I, s:I, s:o, s:o, s:o, s:o}", "subject", "braid", "models", r->names.n, "slices",
                   r->asks > 1 ? GRID_SLICES : 0, "cells", (json_int_t)r->summary->cells, "asked", (json_int_t)r->asked,
                   "objectives", objectives, "lost", lost_json(r), "wrong", wrong_json(r), "growth",
                   growth_json(r->growth));
}
