/* SPDX-License-Identifier: Apache-2.0
 * However the work is divided, the answer is that of one machine, bit for bit. */
#include <string.h>
#include <unistd.h>

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

/* ------------------------------------------------------------------------------------------------- mixes */

static struct braid_plan *make_mix(const struct braid_graph *graph, uint64_t seed, int parts) {
  struct braid_plan *mix = rig_plan(graph, seed, false);
  mix->mix = braid_calloc((size_t)parts, sizeof *mix->mix);
  mix->mix_weight = braid_calloc((size_t)parts, sizeof *mix->mix_weight);
  double left = 1;
  for (; mix->n_mix < parts; mix->n_mix++) {
    int i = mix->n_mix;
    mix->mix[i] = i == 2 ? rig_plan_all(graph, BRAID_EDGE) : rig_plan(graph, seed + 1 + (uint64_t)i, i == 1);
    mix->mix_weight[i] = i == parts - 1 ? left : left * (double)(2 + braid_random_u64(seed, 50 + (uint64_t)i) % 7) / 10;
    left -= mix->mix_weight[i];
  }
  MUST(braid_plan_check(mix, graph, false));
  return mix;
}

/* Every frame follows the part that is its turn, and says so. */
static void take_dealt(struct braid_edge *edge, const struct braid_plan *mix, const struct rig_sample *sample,
                       double *credit) {
  struct braid_answer *answer;
  MUST(braid_edge_wait(edge, -1, &answer));
  int part = braid_mix_next(mix, credit);
  CHECK(answer->epoch == 1 + (uint32_t)part, "frame %llu by plan %u, part %d's turn", (unsigned long long)answer->frame,
        (unsigned)answer->epoch, part);
  rig_check_answer(sample, answer);
  braid_answer_destroy(&answer);
}

enum { MIX_FRAMES = 24 };

static void run_mix(const char *scheme, uint64_t seed) {
  struct braid_graph *graph = rig_graph(seed, 6 + (int)(seed % 20), (unsigned)(seed % RANDOM_GRAPH_FLAGS));
  struct rig_sample *sample[SAMPLES];
  for (uint64_t i = 0; i < SAMPLES; i++) sample[i] = rig_sample(graph, seed * 31 + i);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *mix = make_mix(graph, seed * 7919, 2 + (int)(seed % 3));
  struct braid_edge_opts opts = rig_edge_opts(cloud, mix, 1 + (int)(seed % 6));
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  CHECK(braid_edge_plan(edge)->n_mix == mix->n_mix, "a mix of %d", braid_edge_plan(edge)->n_mix);
  double credit[BRAID_PLAN_MIX_MAX] = {0};
  /* Submitting blocks where there is no room, however many answers wait to be taken. */
  for (int i = 0; i < MIX_FRAMES; i++)
    MUST(braid_edge_submit(edge, (uint64_t)i, sample[i % SAMPLES]->in, sample[i % SAMPLES]->n_in));
  for (int i = 0; i < MIX_FRAMES; i++) take_dealt(edge, mix, sample[i % SAMPLES], credit);
  struct braid_edge_stats stats;
  braid_edge_stats(edge, &stats);
  CHECK(stats.frames == MIX_FRAMES && stats.answered == MIX_FRAMES && stats.lost == 0 && stats.duplicates == 0,
        "frames %llu answered %llu lost %llu", (unsigned long long)stats.frames, (unsigned long long)stats.answered,
        (unsigned long long)stats.lost);
  if (seed % 3 == 0) /* stopped with frames in flight */
    MUST(braid_edge_submit(edge, 99, sample[0]->in, sample[0]->n_in));
  braid_edge_stop(&edge);
  braid_plan_destroy(&mix);
  rig_cloud_stop(cloud);
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(sample[i]);
  braid_graph_destroy(&graph);
}

static void mixes(const char *scheme, int nets) {
  uint64_t seed = random_graph_seed(1);
  for (int i = 0; i < nets; i++) {
    char name[96];
    snprintf(name, sizeof name, "%s: mix, BRAID_SEED=%llu", scheme, (unsigned long long)seed + (uint64_t)i);
    rig_case(name, 60);
    run_mix(scheme, seed + (uint64_t)i);
  }
}

static void too_many_parts(const char *scheme) {
  rig_case("a mix of more plans than a session takes", 60);
  struct braid_graph *graph = rig_graph(42, 12, RANDOM_GRAPH_WEIGHTS);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *mix = make_mix(graph, 3, 5);
  struct braid_edge_opts opts = rig_edge_opts(cloud, mix, 2);
  struct braid_edge *edge;
  CHECK(braid_edge_start(graph, &opts, &edge) == BRAID_EUNSUPPORTED, "a mix of 5 was taken");
  CHECK(strstr(braid_error(), "mix of 5"), "%s", braid_error());
  braid_plan_destroy(&mix);
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
    if (policy[i]->input != BRAID_INPUT_AS_IS) continue; /* sessions send inputs as they are */
    if (strcmp(policy[i]->name, "exact") == 0) continue; /* refuses a random net of this size */
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

/* ------------------------------------------------------------------------------------------------- figures */

/* Frames until the cloud has reported itself, which it does with every heartbeat. */
static void says_how_it_goes(const char *scheme) {
  rig_case("the edge says where frames go, and how busy who is", 60);
  struct braid_graph *graph = rig_graph(42, 12, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample = rig_sample(graph, 8);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 1);
  struct braid_edge *edge;
  struct braid_edge_stats stats;
  opts.heartbeat_ns = 50 * INT64_C(1000000);
  MUST(braid_edge_start(graph, &opts, &edge));
  do {
    rig_run_frames(edge, &sample, 1, 1, 1);
    braid_edge_stats(edge, &stats);
  } while (stats.cloud_busy <= 0 && stats.lost == 0);
  CHECK(stats.connected && !stats.draining && stats.cloud && strcmp(stats.cloud, opts.connect) == 0, "cloud %s",
        stats.cloud ? stats.cloud : "none");
  CHECK(stats.epoch == 1, "epoch %u", stats.epoch);
  CHECK(stats.cloud_load >= 1e-3 && stats.cloud_busy <= 2, "load %g, busy %g", stats.cloud_load, stats.cloud_busy);
  CHECK(stats.pool.workers == opts.threads, "%d workers", stats.pool.workers);
  braid_edge_stop(&edge);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
}

/* ------------------------------------------------------------------------------------------------- the trace */

static char *read_all(const char *path) {
  FILE *file = fopen(path, "r");
  CHECK(file, "%s is not there", path);
  char *text = calloc(1, 1 << 20);
  CHECK(fread(text, 1, (1 << 20) - 1, file) > 0, "%s is empty", path);
  fclose(file);
  return text;
}

static void expect_in_trace(const struct braid_trace *trace, const char *lane, const char *span) {
  char path[] = "/tmp/braid-session-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0, "no temporary file");
  close(fd);
  MUST(braid_trace_write(trace, path));
  char *text = read_all(path);
  CHECK(strstr(text, lane), "no lane '%s' in %s", lane, text);
  CHECK(strstr(text, span), "no span '%s' in %s", span, text);
  free(text);
  remove(path);
}

static void traced_run(const char *scheme) {
  rig_case("the trace shows what was on the wire", 60);
  struct braid_graph *graph = rig_graph(42, 12, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample = rig_sample(graph, 8);
  struct braid_trace *up, *down;
  MUST(braid_trace_create("edge", 10000, &up));
  MUST(braid_trace_create("cloud", 10000, &down));
  struct braid_cloud_opts cloud_opts = {.trace = down};
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &cloud_opts);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 1);
  opts.trace = up;
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  rig_run_frames(edge, &sample, 1, 3, 1);
  braid_edge_stop(&edge);
  rig_cloud_stop(cloud);
  int n;
  expect_in_trace(up, "uplink", braid_graph_node(graph, braid_graph_inputs(graph, &n)[0])->name);
  expect_in_trace(up, "braid_session", "uncertainty_ns"); /* sight.c */
  expect_in_trace(up, "braid_plan", "edge_nodes");
  expect_in_trace(down, "braid_session", "\"session\":");
  expect_in_trace(down, "came", "\"cat\":\"frame\"");
  expect_in_trace(down, "downlink", braid_graph_node(graph, braid_graph_outputs(graph, &n)[0])->name);
  braid_trace_destroy(&up);
  braid_trace_destroy(&down);
  braid_plan_destroy(&plan);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
}

/* ------------------------------------------------------------------------------------ a hand-made edge, row by row */

/* One half of the rows of every input of a frame. */
static void raw_half(struct braid_link *link, const struct braid_graph *graph, const struct rig_sample *sample,
                     uint32_t epoch, uint64_t frame, int half) {
  int n;
  const int *input = braid_graph_inputs(graph, &n);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, input[i]);
    int middle = node->rows / 2;
    struct braid_band band = half == 0 ? (struct braid_band){0, middle} : (struct braid_band){middle, node->rows};
    if (band.begin == band.end) continue;
    size_t bytes = braid_band_bytes(&node->shape, node->dtype, band);
    uint8_t *rows = malloc(bytes + 1);
    braid_band_pack(&sample->in[i], band, rows);
    struct braid_msg msg = {.type = BRAID_MSG_DATA, .epoch = epoch, .frame = frame, .node = (uint32_t)input[i]};
    msg.begin = (uint32_t)band.begin;
    msg.end = (uint32_t)band.end;
    rig_raw_send(link, 0, msg, rows, bytes);
    free(rows);
  }
}

static void raw_submit(struct braid_link *link, const struct braid_graph *graph, const struct rig_sample *sample,
                       uint32_t epoch, uint64_t frame) {
  raw_half(link, graph, sample, epoch, frame, 0);
  raw_half(link, graph, sample, epoch, frame, 1);
}

/* Takes DATA until the outputs of `frames` frames are complete, and compares every row; gives credit back. */
static void raw_collect(struct braid_link *link, const struct braid_graph *graph, const struct rig_sample *sample,
                        int frames) {
  int rows_left = 0;
  for (int i = 0; i < sample->n_out; i++) rows_left += frames * braid_slice_rows(&sample->out[i].shape);
  int n;
  const int *output = braid_graph_outputs(graph, &n);
  while (rows_left > 0) {
    struct braid_msg msg = rig_raw_recv(link, NULL);
    CHECK(msg.type == BRAID_MSG_DATA, "message of type %d: %.*s", (int)msg.type, (int)msg.payload_bytes,
          (const char *)msg.payload);
    int i = 0;
    while (i < n && output[i] != (int)msg.node) i++;
    CHECK(i < n, "DATA of node %u, which is no output", msg.node);
    struct braid_band band = {(int)msg.begin, (int)msg.end};
    uint8_t *rows = malloc(msg.payload_bytes + 1);
    braid_band_pack(&sample->out[i], band, rows);
    CHECK(memcmp(rows, msg.payload, msg.payload_bytes) == 0, "frame %llu differs", (unsigned long long)msg.frame);
    free(rows);
    rows_left -= band.end - band.begin;
    rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_ACK, .frame = msg.payload_bytes}, NULL, 0);
    braid_msg_release(&msg);
  }
}

/* A frame may come while the one before still has the only arena: its rows wait, and so does their credit. */
static void frames_wait_for_arenas(const char *scheme) {
  rig_case("frames that come before an arena is free", 60);
  struct braid_graph *graph = rig_graph(42, 12, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample = rig_sample(graph, 8);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  for (int round = 0; round < 5; round++) {
    struct braid_link *link = rig_raw_connect(cloud->address);
    rig_raw_hello(link, graph);
    rig_raw_agree(link, graph, plan, 1, 1);
    raw_half(link, graph, sample, 1, 1, 0);
    raw_submit(link, graph, sample, 1, 2);
    raw_half(link, graph, sample, 1, 1, 1);
    raw_collect(link, graph, sample, 2);
    braid_link_close(&link);
  }
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
}

static void two_epochs(const char *scheme) {
  rig_case("two plans in force at the same time", 60);
  struct braid_graph *graph = rig_graph(42, 12, RANDOM_GRAPH_WEIGHTS);
  struct rig_sample *sample = rig_sample(graph, 8);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_link *link = rig_raw_connect(cloud->address);
  rig_raw_hello(link, graph);
  rig_raw_agree(link, graph, plan, 7, 2);
  raw_submit(link, graph, sample, 7, 1);
  for (int i = 0; i < plan->n_nodes; i++) plan->slices[i] = braid_graph_node(graph, i)->slices_max > 1 ? 2 : 1;
  raw_collect(link, graph, sample, 1);
  rig_raw_agree(link, graph, plan, 8, 3);
  for (uint64_t frame = 1; frame <= 2; frame++) {
    raw_submit(link, graph, sample, 8, frame);
    raw_submit(link, graph, sample, 7, frame + 1);
  }
  raw_collect(link, graph, sample, 4);
  braid_link_close(&link);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
}

void session_suite_answers(const char *scheme, int nets) {
  both_ends(scheme);
  random_nets(scheme, nets);
  several_edges(scheme);
  frames_wait_for_arenas(scheme);
  two_epochs(scheme);
  mixes(scheme, nets / 2);
  too_many_parts(scheme);
  policy_decides(scheme);
  says_how_it_goes(scheme);
  traced_run(scheme);
}
