/* SPDX-License-Identifier: Apache-2.0
 * What the demo leaves behind: drawings of the plans, and one timeline of both processes. */
#include "demo.h"
#include "draw.h"

static const char *path_of(const struct demo *d, const char *policy, const char *what, char buf[512]) {
  snprintf(buf, 512, "%s/%s-%s.%s", d->o->out, d->model, policy, what);
  return buf;
}

enum braid_status demo_draw(struct demo *d, const char *policy) {
  const struct braid_policy *p = braid_policy_find(policy);
  struct braid_plan *plan;
  int64_t decide_ns;
  char path[512];
  if (!p) return braid_fail(BRAID_ENOTFOUND, "no policy '%s'", policy);
  BRAID_TRY(planning_decide(&d->planning, p, &plan, &decide_ns));
  enum braid_status status =
      draw_timeline(d->planning.graph, plan, &d->planning.costs, 1, path_of(d, policy, "timeline.svg", path));
  if (status == BRAID_OK) status = draw_graph(d->planning.graph, plan, "svg", path_of(d, policy, "graph.svg", path));
  braid_plan_destroy(&plan);
  return status;
}

/* ---------------------------------------------------------------------------------------------- timeline */

static enum braid_status join_and_write(const struct demo_traces *traces, struct traced *edge, struct traced *cloud,
                                        struct timeline *timeline) {
  BRAID_TRY(traced_read(traces->edge, edge));
  BRAID_TRY(traced_read(traces->cloud, cloud));
  BRAID_TRY(timeline_join(edge, cloud, NULL, timeline));
  return timeline_write(timeline, traces->out);
}

enum braid_status demo_join(const struct braid_graph *graph, const struct demo_traces *traces, double *together_ms) {
  struct traced edge = {.path = NULL}, cloud = {.path = NULL};
  struct timeline timeline = {.n_frames = 0};
  enum braid_status status = join_and_write(traces, &edge, &cloud, &timeline);
  if (status == BRAID_OK) status = demo_three_at_once(graph, &timeline, together_ms);
  timeline_close(&timeline);
  traced_close(&cloud);
  traced_close(&edge);
  return status;
}
