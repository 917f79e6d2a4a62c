/* SPDX-License-Identifier: Apache-2.0
 * Networks in lower precision over edge and cloud: the bits of one machine, in every cut and when the cloud goes;
 * bytes travel as bytes; and who has another precision, or calibrated with other samples, is told so. */
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"

enum { SAMPLES = 3, PLANS = 4, FRAMES = 6, NETS = 3 };

static int count(const struct braid_graph *graph, enum braid_op op) {
  int n = 0;
  for (int id = 0; id < braid_graph_size(graph); id++) n += braid_graph_node(graph, id)->op == op;
  return n;
}

static struct braid_graph *lowered(const struct braid_graph *graph, enum braid_precision precision, float high) {
  struct braid_range *range = calloc((size_t)braid_graph_size(graph), sizeof *range);
  struct braid_graph *low;
  for (int id = 0; id < braid_graph_size(graph); id++) range[id] = (struct braid_range){-high, high};
  MUST(braid_graph_lower(graph, precision, range, &low));
  free(range);
  return low;
}

/* Random nets are what they are: one in which at least two convolutions become others. */
static struct braid_graph *network(uint64_t *seed, enum braid_precision precision, struct braid_graph **low) {
  for (;; ++*seed) {
    struct braid_graph *graph = rig_graph(*seed, 24, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL);
    *low = lowered(graph, precision, 3);
    int n = count(*low, BRAID_OP_QLINEAR_CONV);
    int full = count(graph, BRAID_OP_CONV) + count(graph, BRAID_OP_GEMM);
    bool good = precision == BRAID_PRECISION_INT8 ? n >= 2 : full > 2;
    if (good) return graph;
    braid_graph_destroy(low);
    braid_graph_destroy(&graph);
  }
}

static bool reads(const struct braid_graph *graph, int reader, int id) {
  const struct braid_node *node = braid_graph_node(graph, reader);
  for (int k = 0; k < node->n_in; k++)
    if (node->in[k] == id) return true;
  return false;
}

/* Of the tensors that go up, in their own types. */
static uint64_t bytes_up(const struct braid_graph *graph, const struct braid_plan *plan) {
  uint64_t total = 0;
  for (int id = 0; id < plan->n_nodes; id++) {
    bool crosses = false;
    for (int r = 0; r < plan->n_nodes && plan->site[id] == BRAID_EDGE; r++)
      crosses = crosses || (plan->site[r] == BRAID_CLOUD && reads(graph, r, id));
    if (crosses) total += braid_graph_node(graph, id)->bytes;
  }
  return total;
}

static void run_plan(struct rig_cloud *cloud, const struct braid_graph *low, const struct braid_plan *plan,
                     struct rig_sample *const *sample) {
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 2);
  struct braid_edge *edge;
  MUST(braid_edge_start(low, &opts, &edge));
  rig_run_frames(edge, sample, SAMPLES, FRAMES, 2);
  struct braid_edge_stats stats;
  braid_edge_stats(edge, &stats);
  CHECK(stats.bytes_up == FRAMES * bytes_up(low, plan), "%llu bytes went up, not %llu",
        (unsigned long long)stats.bytes_up, (unsigned long long)(FRAMES * bytes_up(low, plan)));
  braid_edge_stop(&edge);
}

/* Frames under way when the cloud goes are finished here, by the same network. */
static void lose_cloud(struct rig_cloud *cloud, const struct braid_graph *low, struct rig_sample *const *sample) {
  struct braid_plan *plan = rig_plan_all(low, BRAID_CLOUD);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 2);
  struct braid_edge *edge;
  opts.fallback = BRAID_FALLBACK_AUTO;
  MUST(braid_edge_start(low, &opts, &edge));
  struct rig_flow flow = {.edge = edge, .sample = sample, .n_samples = SAMPLES, .window = 2};
  for (int i = 0; i < 8; i++) rig_flow_step(&flow);
  rig_cloud_stop(cloud);
  for (int i = 0; i < 8; i++) rig_flow_step(&flow);
  rig_flow_end(&flow);
  braid_edge_stop(&edge);
  braid_plan_destroy(&plan);
}

static void run_net(uint64_t seed, enum braid_precision precision) {
  struct braid_graph *low, *graph = network(&seed, precision, &low);
  struct rig_sample *sample[SAMPLES];
  for (uint64_t i = 0; i < SAMPLES; i++) sample[i] = rig_sample(low, seed * 31 + i);
  struct rig_cloud *cloud = rig_cloud_start("inproc", low, NULL);
  for (uint64_t i = 0; i < PLANS; i++) {
    struct braid_plan *plan = rig_plan(low, seed * 7919 + i, false);
    run_plan(cloud, low, plan, sample);
    braid_plan_destroy(&plan);
  }
  lose_cloud(cloud, low, sample);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(sample[i]);
  braid_graph_destroy(&low);
  braid_graph_destroy(&graph);
}

/* Float32 meets int8, and int8 meets another int8. */
static void strangers(void) {
  rig_case("two that are not the same", 60);
  uint64_t seed = 1;
  struct braid_graph *low, *graph = network(&seed, BRAID_PRECISION_INT8, &low);
  struct braid_graph *wider = lowered(graph, BRAID_PRECISION_INT8, 4);
  struct rig_cloud *cloud = rig_cloud_start("inproc", low, NULL);
  struct braid_graph *other[] = {graph, wider};
  for (int i = 0; i < 2; i++) {
    struct braid_plan *plan = rig_plan_all(other[i], BRAID_CLOUD);
    struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 1);
    struct braid_edge *edge;
    CHECK(braid_edge_start(other[i], &opts, &edge) == BRAID_EMISMATCH, "%s", braid_error());
    CHECK(strstr(braid_error(), "has hash"), "%s", braid_error());
    braid_plan_destroy(&plan);
  }
  rig_cloud_stop(cloud);
  braid_graph_destroy(&wider);
  braid_graph_destroy(&low);
  braid_graph_destroy(&graph);
}

int main(void) {
  for (int precision = BRAID_PRECISION_BF16; precision <= BRAID_PRECISION_INT8; precision++) {
    uint64_t seed = random_graph_seed(1);
    for (uint64_t i = 0; i < NETS; i++) {
      char name[96];
      snprintf(name, sizeof name, "%s: random net, BRAID_SEED=%llu",
               braid_precision_name((enum braid_precision)precision), (unsigned long long)(seed + 100 * i));
      rig_case(name, 60);
      run_net(seed + 100 * i, (enum braid_precision)precision);
    }
  }
  strangers();
  rig_done();
  return 0;
}
