/* SPDX-License-Identifier: Apache-2.0
 * An edge whose plan follows the world, with real links and threads: frames that a slow cloud answers late are finished
 * on the edge, none is answered twice, each is what one machine answers; a cloud that is busier than its profile says
 * is left, and tried again. How many were bridged is up to the machine's mood; that some were is not. */
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"

enum { SAMPLES = 3 };

struct scene {
  struct braid_graph *graph;
  struct rig_sample *sample[SAMPLES];
  struct braid_profile *profile;
  struct rig_cloud *cloud;
  struct rig_flow flow;
};

/* The cloud's profile says nothing of `slow`, as one that was measured on a quiet day. The link is given, so that the
 * tests do not depend on what loopback measures. */
static void start(struct scene *s, uint64_t seed, const char *scheme, double slow, int window, const char *policy,
                  double bridge) {
  s->graph = rig_graph(seed + 90, 14, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL);
  for (uint64_t i = 0; i < SAMPLES; i++) s->sample[i] = rig_sample(s->graph, seed * 31 + i);
  struct braid_cloud_opts cloud = {.slow = slow, .threads = 1};
  s->cloud = rig_cloud_start(scheme, s->graph, &cloud);
  MUST(braid_profile_synthetic(s->graph, 0.05, &s->profile));
  struct braid_edge_opts opts = rig_edge_opts(s->cloud, NULL, window);
  opts.fallback = BRAID_FALLBACK_AUTO;
  opts.policy = braid_policy_find(policy);
  opts.profile = s->profile;
  opts.adapt = true;
  opts.bridge = bridge;
  opts.up = opts.down = (struct braid_link_cost){1e9, 10000, 1000};
  s->flow = (struct rig_flow){.sample = s->sample, .n_samples = SAMPLES, .window = window};
  MUST(braid_edge_start(s->graph, &opts, &s->flow.edge));
}

static struct braid_edge_stats stats_of(const struct scene *s) {
  struct braid_edge_stats stats;
  braid_edge_stats(s->flow.edge, &stats);
  return stats;
}

static void end(struct scene *s) {
  rig_flow_end(&s->flow);
  struct braid_edge_stats stats = stats_of(s);
  printf("    %llu frames, %llu bridged, %llu plans taken\n", (unsigned long long)stats.frames,
         (unsigned long long)stats.bridged, (unsigned long long)stats.replans);
  braid_edge_stop(&s->flow.edge);
  rig_cloud_stop(s->cloud);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(s->sample[i]);
  braid_profile_destroy(&s->profile);
  braid_graph_destroy(&s->graph);
}

/* Every task of the cloud takes hundreds of times longer than it should: whatever it is asked for is late. */
static void late_answers(uint64_t seed, const char *scheme, int window, double bridge) {
  char name[128];
  snprintf(name, sizeof name, "late answers over %s, window %d, bridge %g, BRAID_SEED=%llu", scheme, window, bridge,
           (unsigned long long)seed);
  rig_case(name, 120);
  struct scene s;
  start(&s, seed, scheme, 300, window, "cloud-only", bridge);
  do rig_flow_step(&s.flow);
  while (stats_of(&s).bridged < 8);
  CHECK(stats_of(&s).replans == 0, "cloud-only knows one plan");
  end(&s);
}

/* A cloud that keeps what it promises answers most frames itself; answers and spares race all the time. */
static void races(uint64_t seed, int window) {
  char name[128];
  snprintf(name, sizeof name, "answers and spares race, window %d, BRAID_SEED=%llu", window, (unsigned long long)seed);
  rig_case(name, 120);
  struct scene s;
  start(&s, seed, "inproc", 1, window, "cloud-only", 1e-6);
  for (int i = 0; i < 1500; i++) rig_flow_step(&s.flow);
  end(&s);
}

/* The cloud is cut off with frames, ghosts and spares in flight: nothing is lost or answered twice. */
static void gone_in_between(uint64_t seed) {
  rig_case("the cloud goes while frames are bridged", 120);
  struct scene s;
  start(&s, seed, "inproc", 300, 4, "cloud-only", 1e-6);
  do rig_flow_step(&s.flow);
  while (stats_of(&s).bridged < 3);
  rig_cloud_stop(s.cloud);
  while (s.flow.last_epoch != 0 || stats_of(&s).fallbacks == 0) rig_flow_step(&s.flow);
  s.cloud = rig_cloud_start("inproc", s.graph, NULL); /* for end() */
  end(&s);
}

/* The profiles promise much of the cloud and little of the edge; the tasks tell the truth. */
static void busy_cloud(uint64_t seed) {
  rig_case("a cloud that is slower than its profile is left", 120);
  struct scene s;
  start(&s, seed, "inproc", 300, 1, "braid", -1);
  struct braid_plan *plan;
  MUST(braid_edge_plan_now(s.flow.edge, &plan));
  int in_cloud = 0;
  for (int i = 0; i < plan->n_nodes; i++) in_cloud += plan->site[i] == BRAID_CLOUD;
  braid_plan_destroy(&plan);
  CHECK(in_cloud > 0, "the first plan has nothing in the cloud");
  do rig_flow_step(&s.flow);
  while (stats_of(&s).replans == 0);
  CHECK(stats_of(&s).bridged == 0, "bridged although told not to");
  end(&s);
}

int main(void) {
  uint64_t seed = random_graph_seed(1);
  late_answers(seed, "inproc", 1, 0);
  late_answers(seed + 1, "inproc", 4, 1e-6);
  late_answers(seed + 2, "inproc", 3, 0);
  for (uint64_t i = 0; i < 4; i++) races(seed + i, 1 + (int)(i % 2) * 3);
  gone_in_between(seed);
  busy_cloud(seed);
  rig_done();
  return 0;
}
