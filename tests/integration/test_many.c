/* SPDX-License-Identifier: Apache-2.0
 * Many edges on one cloud process, all of them sending as much as they may: everybody is answered, everybody gets the
 * same share, and the cloud's memory and descriptors stay what they were when the last edge had joined.
 *
 *   test_many [EDGES [SECONDS]]     64 edges; a few seconds when run as a test */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "cloud_process.h"
#include "random_graph.h"
#include "session_rig.h"

enum { EDGES_MAX = 64, WINDOW = 2, NODES = 12 };
#define HEARTBEAT "2s" /* all of this is one busy machine */
#define HEARTBEAT_NS (INT64_C(2000) * 1000 * 1000)
#define LEAST_FAIRNESS 0.9
#define MORE_KIB 4096 /* of memory: what an allocator may keep; a leak of 100 bytes a frame is more within a minute */

struct one_edge {
  struct rig_flow flow;
  pthread_t thread;
  _Atomic uint64_t answered;
};
static struct world {
  char dir[64];
  struct braid_graph *graph;
  struct braid_plan *plan;
  struct rig_sample *sample;
  struct cloud_process cloud;
  struct one_edge edge[EDGES_MAX];
  int n;
  atomic_bool done;
} w;

static void make_network(void) {
  char path[128];
  struct braid_graph *made = rig_graph(random_graph_seed(5), NODES, RANDOM_GRAPH_WEIGHTS);
  snprintf(w.dir, sizeof w.dir, "/tmp/braid-many-XXXXXX");
  CHECK(mkdtemp(w.dir), "no temporary folder");
  snprintf(path, sizeof path, "%s/net.onnx", w.dir);
  MUST(braid_onnx_save(made, path));
  braid_graph_destroy(&made);
  MUST(braid_model_open(path, &(struct braid_open_opts){0}, &w.graph));
  w.plan = rig_plan_all(w.graph, BRAID_CLOUD);
  w.sample = rig_sample(w.graph, 1);
}

static void join(struct one_edge *e) {
  struct braid_edge_opts opts = {.connect = w.cloud.address,
                                 .model = "net",
                                 .threads = 1,
                                 .plan = w.plan,
                                 .window = WINDOW,
                                 .heartbeat_ns = HEARTBEAT_NS,
                                 .connect_timeout_ns = INT64_C(30000000000),
                                 .fallback = BRAID_FALLBACK_OFF};
  e->flow = (struct rig_flow){.sample = &w.sample, .n_samples = 1, .window = WINDOW};
  MUST(braid_edge_start(w.graph, &opts, &e->flow.edge));
}

static void *send_frames(void *arg) {
  struct one_edge *e = arg;
  while (!atomic_load(&w.done)) {
    rig_flow_step(&e->flow);
    atomic_store(&e->answered, e->flow.answered);
  }
  rig_flow_end(&e->flow);
  return NULL;
}

/* Jain's index: 1 when all have the same, 1/n when one has everything. */
static double fairness(const uint64_t *frames, int n) {
  double sum = 0, squares = 0;
  for (int i = 0; i < n; i++) {
    sum += (double)frames[i];
    squares += (double)frames[i] * (double)frames[i];
  }
  return sum * sum / (n * squares);
}

static void note_frames(uint64_t *frames) {
  for (int i = 0; i < w.n; i++) frames[i] = atomic_load(&w.edge[i].answered);
}

/* Until every edge has so many answers more. */
static void all_go_on(uint64_t more) {
  uint64_t from[EDGES_MAX];
  note_frames(from);
  for (int i = 0; i < w.n; i++)
    while (atomic_load(&w.edge[i].answered) < from[i] + more) usleep(20000);
}

static void show(int second, uint64_t frames, double fair) {
  printf("    %4d s: %llu frames, fairness %.4f, cloud %ld KiB, %d descriptors\n", second, (unsigned long long)frames,
         fair, cloud_process_rss_kib(&w.cloud), cloud_process_fds(&w.cloud));
  fflush(stdout);
}

static void watch(int seconds) {
  uint64_t from[EDGES_MAX], frames[EDGES_MAX], sum = 0;
  all_go_on(20); /* warm */
  long kib = cloud_process_rss_kib(&w.cloud);
  int fds = cloud_process_fds(&w.cloud), every = seconds > 60 ? 30 : 5;
  note_frames(from);
  for (int s = 1; s <= seconds; s++) {
    sleep(1);
    if (s % every != 0 && s != seconds) continue;
    note_frames(frames);
    sum = 0;
    for (int i = 0; i < w.n; i++) sum += frames[i] -= from[i];
    show(s, sum, fairness(frames, w.n));
  }
  CHECK(sum > (uint64_t)w.n, "no frames");
  CHECK(fairness(frames, w.n) >= LEAST_FAIRNESS, "shares are not fair");
  CHECK(cloud_process_fds(&w.cloud) <= fds, "%d descriptors have become %d", fds, cloud_process_fds(&w.cloud));
  CHECK(cloud_process_rss_kib(&w.cloud) <= kib + MORE_KIB, "%ld KiB have become %ld", kib,
        cloud_process_rss_kib(&w.cloud));
}

static void tear_down(void) {
  char path[128];
  for (int i = 0; i < w.n; i++) braid_edge_stop(&w.edge[i].flow.edge);
  CHECK(cloud_process_kill(&w.cloud), "the cloud has ended by itself");
  rig_sample_free(w.sample);
  braid_plan_destroy(&w.plan);
  braid_graph_destroy(&w.graph);
  snprintf(path, sizeof path, "%s/net.onnx", w.dir);
  unlink(path);
  rmdir(w.dir);
}

int main(int argc, char **argv) {
  int seconds = argc > 2 ? atoi(argv[2]) : 5;
  w.n = argc > 1 ? atoi(argv[1]) : EDGES_MAX;
  CHECK(w.n > 0 && w.n <= EDGES_MAX && seconds > 0, "usage: test_many [EDGES (1..%d) [SECONDS]]", EDGES_MAX);
  rig_case("many edges on one cloud", 240 + 2 * seconds);
  make_network();
  CHECK(cloud_process_start("tcp://127.0.0.1:0", w.dir, HEARTBEAT, &w.cloud), "the cloud does not start");
  for (int i = 0; i < w.n; i++) join(&w.edge[i]);
  for (int i = 0; i < w.n; i++)
    CHECK(pthread_create(&w.edge[i].thread, NULL, send_frames, &w.edge[i]) == 0, "no thread");
  watch(seconds);
  atomic_store(&w.done, true);
  for (int i = 0; i < w.n; i++) pthread_join(w.edge[i].thread, NULL);
  tear_down();
  rig_done();
  return 0;
}
