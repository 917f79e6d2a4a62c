/* SPDX-License-Identifier: Apache-2.0
 * Changes of plan take arenas from the plans that have gone, on both sides: what an edge makes and what its cloud has
 * in use stay where the first few plans have brought them. Sees private headers: an edge does not tell callers what its
 * arenas are. */
#include <string.h>

#include "edge/edge.h"
#include "random_graph.h"
#include "session_rig.h"

enum { CHANGES = 300, PLANS = EDGE_WARM_ROUTES + 4, WINDOW = 3 };

struct scene {
  struct braid_graph *graph;
  struct rig_cloud *cloud;
  struct rig_sample *sample;
  struct braid_plan *plan[PLANS]; /* alike but for the window they ask for: none is found warm */
  struct braid_edge *edge;
};

static void open_scene(struct scene *s) {
  s->graph = rig_graph(23, 16, RANDOM_GRAPH_WEIGHTS);
  s->sample = rig_sample(s->graph, 1);
  s->cloud = rig_cloud_start("inproc", s->graph, NULL);
  for (int i = 0; i < PLANS; i++) {
    s->plan[i] = rig_plan(s->graph, 5, false);
    s->plan[i]->window = i + 1;
  }
  CHECK(!edge_plan_is_local(s->plan[0]), "the cloud has no part in it");
  struct braid_edge_opts opts = rig_edge_opts(s->cloud, s->plan[0], WINDOW);
  MUST(braid_edge_start(s->graph, &opts, &s->edge));
}

static void close_scene(struct scene *s) {
  struct braid_cloud_stats stats;
  braid_edge_stop(&s->edge);
  do braid_cloud_stats(s->cloud->cloud, &stats);
  while (stats.memory_bytes > 0); /* what the session kept goes with it; the watchdog says where this hangs */
  rig_cloud_stop(s->cloud);
  for (int i = 0; i < PLANS; i++) braid_plan_destroy(&s->plan[i]);
  rig_sample_free(s->sample);
  braid_graph_destroy(&s->graph);
}

static size_t cloud_bytes(const struct scene *s) {
  struct braid_cloud_stats stats;
  braid_cloud_stats(s->cloud->cloud, &stats);
  return stats.memory_bytes;
}

/* Retiring lags behind by so many plans at most as can be in force: that bounds what is ever made. */
static void arenas_of_plans_that_have_gone_are_taken(void) {
  rig_case("changes of plan take the arenas of plans that have gone", 120);
  struct scene s;
  open_scene(&s);
  struct braid_arenas_info info;
  braid_arenas_info(s.edge->arenas, &info);
  uint64_t first = info.made; /* of one plan: window, and scratch */
  size_t one_bytes = cloud_bytes(&s), most_bytes = 0;
  for (int i = 1; i <= CHANGES; i++) {
    MUST(braid_edge_replan(s.edge, s.plan[i % PLANS]));
    rig_run_frames(s.edge, &s.sample, 1, 2, WINDOW);
    size_t bytes = cloud_bytes(&s);
    if (bytes > most_bytes) most_bytes = bytes;
  }
  struct braid_edge_stats stats;
  braid_edge_stats(s.edge, &stats);
  CHECK(stats.replans == CHANGES, "%llu plans were taken", (unsigned long long)stats.replans);
  braid_arenas_info(s.edge->arenas, &info);
  printf("    %llu blocks of the edge for %d plans, %llu for the first; cloud %zu bytes, %zu with the first\n",
         (unsigned long long)info.made, CHANGES, (unsigned long long)first, most_bytes, one_bytes);
  CHECK(first >= WINDOW, "%llu", (unsigned long long)first);
  CHECK(info.made <= SESSION_MAX_EPOCHS * first, "%llu blocks were made", (unsigned long long)info.made);
  CHECK(most_bytes <= 2 * SESSION_MAX_EPOCHS * one_bytes, "%zu bytes in the cloud", most_bytes);
  close_scene(&s);
}

int main(void) {
  arenas_of_plans_that_have_gone_are_taken();
  rig_done();
  return 0;
}
