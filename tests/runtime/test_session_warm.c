/* SPDX-License-Identifier: Apache-2.0
 * Adaptation returns to the plan that has been warm for longest just as the cloud agrees on another one, which goes
 * among the warm ones, too: what is pushed out for it must not be the plan that frames take. Sees private headers: only
 * with a full house of warm plans, and at that moment, does the order of things matter. */
#include <string.h>

#include "edge/edge.h"
#include "random_graph.h"
#include "session_rig.h"

static const struct braid_plan *wanted; /* what the policy always decides */

static enum braid_status decide_wanted(const struct braid_graph *graph, const struct braid_costs *costs,
                                       const struct braid_goal *goal, struct braid_plan **out) {
  (void)graph, (void)costs, (void)goal;
  return braid_plan_copy(wanted, out);
}

static struct braid_adapt *make_adapt(const struct braid_graph *graph) {
  static const struct braid_policy policy = {"wanted", "always the same", "", decide_wanted, BRAID_INPUT_AS_IS};
  static const struct braid_goal goal = {.objective = BRAID_LATENCY};
  int n = braid_graph_size(graph);
  int64_t *ns = calloc((size_t)n, sizeof *ns);
  for (int i = 0; i < n; i++) ns[i] = 1000000;
  struct braid_link_cost link = {1e8, 1000000, 0};
  struct braid_costs costs = {.n_nodes = n, .edge_ns = ns, .cloud_ns = ns, .edge_workers = 1, .cloud_workers = 1,
                              .up = link, .down = link};
  struct braid_adapt *adapt;
  MUST(braid_adapt_create(graph, &costs, &goal, &policy, &adapt));
  free(ns);
  return adapt;
}

/* A plan that has no route yet. */
static struct braid_plan *another(const struct braid_graph *graph, const struct braid_edge *edge, uint64_t *seed) {
  for (;;) {
    struct braid_plan *plan = rig_plan(graph, (*seed)++, false);
    struct braid_edge *e = edge->self;
    if (!edge_plan_is_local(plan) && !edge_route_find(e, e->planner_line, plan)) return plan;
    braid_plan_destroy(&plan);
  }
}

int main(void) {
  uint64_t seed = random_graph_seed(1);
  rig_case("the oldest warm plan comes back as another is agreed on", 60);
  struct braid_graph *graph = rig_graph(23, 16, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample = rig_sample(graph, 1);
  struct rig_cloud *cloud = rig_cloud_start("inproc", graph, NULL);
  struct braid_plan *all = rig_plan_all(graph, BRAID_CLOUD);
  wanted = all;
  struct braid_adapt *adapt = make_adapt(graph);
  struct braid_edge_opts opts = rig_edge_opts(cloud, braid_adapt_plan(adapt), 1);
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  for (int i = 0; i < EDGE_WARM_ROUTES; i++) { /* the house is full, the wanted plan the oldest in it */
    struct braid_plan *plan = another(graph, edge, &seed);
    MUST(braid_edge_replan(edge, plan));
    braid_plan_destroy(&plan);
  }
  struct route *oldest = edge->warm[EDGE_WARM_ROUTES - 1], *proposal;
  CHECK(oldest && oldest == edge_route_find(edge, edge->planner_line, braid_adapt_plan(adapt)), "it is not the oldest");
  /* The planner has nothing to do, and sleeps: this thread stands in for it until it is woken. */
  struct braid_plan *plan = another(graph, edge, &seed);
  MUST(edge_route_agree(edge, edge->planner_line, plan, &proposal));
  pthread_mutex_lock(&edge->mutex);
  edge->adapt = adapt;
  edge->proposed = proposal;
  pthread_cond_broadcast(&edge->changed);
  while (edge->current != oldest) pthread_cond_wait(&edge->changed, &edge->mutex);
  pthread_mutex_unlock(&edge->mutex);
  rig_run_frames(edge, &sample, 1, 20, 1);
  MUST(braid_edge_replan(edge, NULL)); /* the same plan again: the planner is through with the one before */
  pthread_mutex_lock(&edge->mutex);
  CHECK(edge->current == oldest && !oldest->retired, "frames take a plan that is retired");
  pthread_mutex_unlock(&edge->mutex);
  braid_edge_stop(&edge);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&all);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
  puts("ok");
  return 0;
}
