/* SPDX-License-Identifier: Apache-2.0
 * However the work is divided, the answer is that of one machine, bit for bit. */
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"
#include "session_suite.h"

enum { SAMPLES = 3, PLANS = 3, FRAMES = 7 };

static void run_plan(struct rig_cloud *cloud, const struct braid_graph *graph, const struct braid_plan *plan,
                     struct rig_sample *const *sample, int window) {
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, window);
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  rig_run_frames(edge, sample, SAMPLES, FRAMES, window);
  struct braid_edge_stats stats;
  braid_edge_stats(edge, &stats);
  CHECK(stats.frames == FRAMES && stats.answered == FRAMES && stats.lost == 0 && stats.duplicates == 0,
        "frames %llu answered %llu lost %llu", (unsigned long long)stats.frames, (unsigned long long)stats.answered,
        (unsigned long long)stats.lost);
  braid_edge_stop(&edge);
}

static void run_net(const char *scheme, uint64_t seed) {
  struct braid_graph *graph = rig_graph(seed, 6 + (int)(seed % 25), (unsigned)(seed % RANDOM_GRAPH_FLAGS));
  struct rig_sample *sample[SAMPLES];
  for (uint64_t i = 0; i < SAMPLES; i++) sample[i] = rig_sample(graph, seed * 31 + i);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  for (uint64_t i = 0; i < PLANS; i++) {
    struct braid_plan *plan = rig_plan(graph, seed * 7919 + i, i == 1);
    run_plan(cloud, graph, plan, sample, 1 + (int)((seed + i) % 4));
    braid_plan_destroy(&plan);
  }
  rig_cloud_stop(cloud);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(sample[i]);
  braid_graph_destroy(&graph);
}

static void random_nets(const char *scheme, int nets) {
  uint64_t seed = random_graph_seed(1);
  for (int i = 0; i < nets; i++) {
    char name[96];
    snprintf(name, sizeof name, "%s: random net, BRAID_SEED=%llu", scheme, (unsigned long long)seed + (uint64_t)i);
    rig_case(name, 60);
    run_net(scheme, seed + (uint64_t)i);
  }
}

/* -------------------------------------------------------------------------------------------- the two ends */

static void both_ends(const char *scheme) {
  rig_case("everything on one side", 60);
  struct braid_graph *graph = rig_graph(5, 14, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample[SAMPLES];
  for (uint64_t i = 0; i < SAMPLES; i++) sample[i] = rig_sample(graph, i);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  for (int site = BRAID_EDGE; site <= BRAID_CLOUD; site++) {
    struct braid_plan *plan = rig_plan_all(graph, (enum braid_site)site);
    run_plan(cloud, graph, plan, sample, 2);
    braid_plan_destroy(&plan);
  }
  rig_cloud_stop(cloud);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(sample[i]);
  braid_graph_destroy(&graph);
}

/* --------------------------------------------------------------------------------------- several at a time */

enum { EDGES = 4 };

struct one_edge {
  struct rig_cloud *cloud;
  struct braid_graph *graph;
  uint64_t seed;
  pthread_t thread;
};

static void *edge_thread(void *arg) {
  const struct one_edge *one = arg;
  struct rig_sample *sample[SAMPLES];
  for (uint64_t i = 0; i < SAMPLES; i++) sample[i] = rig_sample(one->graph, one->seed + i);
  struct braid_plan *plan = rig_plan(one->graph, one->seed, false);
  struct braid_edge_opts opts = rig_edge_opts(one->cloud, plan, 3);
  struct braid_edge *edge;
  MUST(braid_edge_start(one->graph, &opts, &edge));
  rig_run_frames(edge, sample, SAMPLES, 30, 3);
  braid_edge_stop(&edge);
  braid_plan_destroy(&plan);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(sample[i]);
  return NULL;
}

static void several_edges(const char *scheme) {
  rig_case("several edges on one cloud", 120);
  struct braid_graph *graph = rig_graph(11, 20, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct one_edge one[EDGES];
  for (int i = 0; i < EDGES; i++) {
    one[i] = (struct one_edge){cloud, graph, 500 + (uint64_t)i, 0};
    pthread_create(&one[i].thread, NULL, edge_thread, &one[i]);
  }
  for (int i = 0; i < EDGES; i++) pthread_join(one[i].thread, NULL);
  rig_cloud_stop(cloud);
  braid_graph_destroy(&graph);
}

/* ------------------------------------------------------------------------------- a policy decides, all measured */

static void policy_decides(const char *scheme) {
  rig_case("a policy decides with a measured link and profile", 60);
  struct braid_graph *graph = rig_graph(23, 16, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample = rig_sample(graph, 1);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  int n;
  const struct braid_policy *const *policy = braid_policies(&n);
  for (int i = 0; i < n; i++) {
    struct braid_edge_opts opts = rig_edge_opts(cloud, NULL, 0);
    opts.policy = policy[i];
    struct braid_edge *edge;
    MUST(braid_edge_start(graph, &opts, &edge));
    CHECK(strcmp(braid_edge_plan(edge)->policy, policy[i]->name) == 0, "plan of %s", braid_edge_plan(edge)->policy);
    CHECK(braid_edge_plan(edge)->forecast.latency_ns > 0, "no forecast by %s", policy[i]->name);
    rig_run_frames(edge, &sample, 1, 2, 1);
    braid_edge_stop(&edge);
  }
  CHECK(n > 0, "no policies");
  rig_cloud_stop(cloud);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
}

void session_suite_answers(const char *scheme, int nets) {
  both_ends(scheme);
  random_nets(scheme, nets);
  several_edges(scheme);
  policy_decides(scheme);
}
