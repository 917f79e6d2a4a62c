/* SPDX-License-Identifier: Apache-2.0 */
#include "stage_plan.h"

#include "plan_file.h"

#include <errno.h>
#include <string.h>

enum { MESSAGE_NS = 20000 }; /* as the edge takes it for links that it measures */

struct profiles {
  struct braid_profile *edge, *cloud;
};

static void free_profiles(struct profiles *p) {
  braid_profile_destroy(&p->edge);
  braid_profile_destroy(&p->cloud);
}

static enum braid_status read_profiles(const struct stage *s, struct profiles *p) {
  char path[192], name[96];
  *p = (struct profiles){NULL, NULL};
  snprintf(name, sizeof name, "%.80s.json", s->model);
  BRAID_TRY(profile_file_read(stage_path(s, "edge.json", path), s->graph, &p->edge));
  enum braid_status status = profile_file_read(stage_path(s, name, path), s->graph, &p->cloud);
  if (status != BRAID_OK) free_profiles(p);
  return status;
}

static struct braid_costs costs_of(const struct stage *s, const struct profiles *p, double bits_per_s) {
  struct braid_link_cost link = {bits_per_s, s->rtt / 2, MESSAGE_NS};
  return (struct braid_costs){.n_nodes = p->edge->n_nodes,
                              .edge_ns = p->edge->node_ns,
                              .cloud_ns = p->cloud->node_ns,
                              .edge_workers = 1,
                              .cloud_workers = 1,
                              .edge_slice_ns = p->edge->slice_ns,
                              .cloud_slice_ns = p->cloud->slice_ns,
                              .edge_task_ns = p->edge->task_ns,
                              .cloud_task_ns = p->cloud->task_ns,
                              .up = link,
                              .down = link};
}

enum braid_status stage_decide(const struct stage *s, const char *policy, enum braid_objective objective,
                               double bits_per_s, struct braid_plan **out) {
  const struct braid_goal goal = {.objective = objective};
  struct profiles p;
  BRAID_TRY(read_profiles(s, &p));
  struct braid_costs costs = costs_of(s, &p, bits_per_s);
  enum braid_status status = braid_decide(braid_policy_find(policy), s->graph, &costs, &goal, out);
  free_profiles(&p);
  return status;
}

static enum braid_status write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (!file) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  bool written = fputs(text, file) >= 0;
  return fclose(file) == 0 && written ? BRAID_OK : braid_fail(BRAID_EIO, "%s: cannot be written", path);
}

enum braid_status stage_write_plan(const struct stage *s, struct braid_plan *plan, enum braid_objective objective,
                                   const char *path) {
  const struct braid_goal goal = {.objective = objective};
  struct profiles p;
  char *text = NULL;
  BRAID_TRY(read_profiles(s, &p));
  struct braid_costs costs = costs_of(s, &p, s->up);
  plan->objective = objective;
  enum braid_status status = braid_plan_forecast(plan, s->graph, &costs, &goal);
  if (status == BRAID_OK) status = braid_plan_to_json(plan, s->graph, &costs, -1, &text);
  if (status == BRAID_OK) status = write_text(path, text);
  braid_free(text);
  free_profiles(&p);
  return status;
}
