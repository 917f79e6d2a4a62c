/* SPDX-License-Identifier: Apache-2.0
 * What the demo leaves behind: drawings of the plans, and one trace of both processes. */
#include "demo.h"
#include "draw.h"

#include <float.h>
#include <string.h>

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

/* ---------------------------------------------------------------------------------------------- merging */

struct interval {
  double begin, end;
};

static double ts_of(const json_t *event) {
  return json_number_value(json_object_get(event, "ts"));
}

static struct interval interval_of(const json_t *events) {
  struct interval t = {DBL_MAX, -DBL_MAX};
  size_t i;
  json_t *event;
  json_array_foreach(events, i, event) {
    if (!json_object_get(event, "dur")) continue;
    double end = ts_of(event) + json_number_value(json_object_get(event, "dur"));
    if (ts_of(event) < t.begin) t.begin = ts_of(event);
    if (end > t.end) t.end = end;
  }
  return t;
}

/* Names of processes and lanes have no time of their own and always stay. */
static void add_within(json_t *to, const json_t *from, struct interval t) {
  size_t i;
  json_t *event;
  json_array_foreach(from, i, event) {
    bool timed = json_object_get(event, "ts") != NULL;
    if (!timed || (ts_of(event) >= t.begin && ts_of(event) <= t.end)) json_array_append(to, event);
  }
}

enum braid_status demo_merge(const char *edge, const char *cloud, const char *out) {
  json_error_t why;
  json_t *a = json_load_file(edge, 0, &why), *b = json_load_file(cloud, 0, &why), *all = json_array();
  enum braid_status status = BRAID_OK;
  if (!json_is_array(a) || !json_is_array(b)) {
    status = braid_fail(BRAID_EFORMAT, "the traces of the two processes cannot be read (%s)", why.text);
  } else {
    struct interval t = interval_of(a);
    add_within(all, a, t);
    add_within(all, b, t);
    if (json_dump_file(all, out, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0)
      status = braid_fail(BRAID_EIO, "%s: cannot be written", out);
  }
  json_decref(a);
  json_decref(b);
  json_decref(all);
  return status;
}
